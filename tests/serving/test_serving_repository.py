"""Versions that come, go, break and are in use. The engine is a stand-in that reads a number from a file."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from tf_cyclegan.serving import repository as repositories
from tf_cyclegan.serving.errors import ServingError, invalid
from tf_cyclegan.serving.models_folder import versions, where_models_are
from tf_cyclegan.serving.repository import ModelSpec, Repository

MODEL = ModelSpec("m")


class FakeEngine:
    """Loads a folder whose `saved_model.pb` holds a number; "cold" fails in the warmup."""

    def __init__(self, path):
        text = (path / "saved_model.pb").read_text()
        self.answer, self.cold, self.closed = int(text.removeprefix("cold")), text.startswith("cold"), False
        self.signatures = {}

    def peak_bytes(self, name, inputs):
        return 0

    def replay_warmup(self):
        if self.cold:
            raise invalid("the warmup fails")

    def close(self):
        assert not self.closed
        self.closed = True


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setattr(repositories, "Engine", FakeEngine)
    return tmp_path / "base"


def publish(base, version, text=None, name="m"):
    folder = base / name / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_text(str(version) if text is None else text)


def opened(base, **settings):
    repository = Repository(base, **settings)
    repository.scan()
    return repository


def answer(repository, spec=MODEL):
    with repository.use(spec) as version:
        return version.engine.answer


def states(repository, spec=MODEL):
    return {number: state for number, state, _ in repository.status(spec)}


def settle(repository):
    """New files are left alone until they have rested for one look."""
    repository.scan()
    repository.scan()


def test_the_newest_version_is_served(base):
    publish(base, 1)
    publish(base, "0010")
    publish(base, 9)
    repository = opened(base)
    assert answer(repository) == 10 and states(repository) == {10: "AVAILABLE"}
    assert [(version.name, version.number) for version in repository.newest()] == [("m", 10)]


def test_what_is_no_model_is_passed_over(base):
    publish(base, 1)
    (base / "notes").mkdir()
    (base / "README").write_text("hello")
    publish(base, 1, name="no spaces")
    publish(base, "next", "1", name="m")
    publish(base, "٣", "3", name="m")
    publish(base, 2**63, "1", name="m")
    (base / "m" / "7").write_text("a file")
    repository = opened(base)
    assert states(repository) == {1: "AVAILABLE"}
    for name in ("notes", "no spaces", "../base/m", "m/1", ""):
        with pytest.raises(ServingError, match="Servable not found"):
            answer(repository, ModelSpec(name))


def test_a_new_version_takes_over_once_its_files_rest(base):
    publish(base, 1)
    lines = []
    repository = opened(base, report=lines.append)
    old = repository.newest()[0].engine
    publish(base, 2)
    repository.scan()
    assert answer(repository) == 1
    publish(base, 2, "22")  # still being written
    repository.scan()
    assert answer(repository) == 1
    repository.scan()
    assert answer(repository) == 22 and states(repository) == {2: "AVAILABLE", 1: "END"} and old.closed
    assert lines == ["Serving m version 2.", "Unloaded m version 1."]


@pytest.mark.parametrize("text", ["junk", "cold3"])
def test_a_bad_version_stays_out_and_the_old_one_goes_on(base, text):
    publish(base, 1)
    lines = []
    repository = opened(base, report=lines.append)
    publish(base, 3, text)
    settle(repository)
    assert answer(repository) == 1 and states(repository) == {3: "END", 1: "AVAILABLE"}
    (_, _, error), _ = repository.status(MODEL)
    assert error.message and str(base) not in error.message and len(lines) == 1
    settle(repository)
    assert len(lines) == 1  # it is not tried again
    publish(base, 3, "3")
    settle(repository)
    assert answer(repository) == 3 and states(repository) == {3: "AVAILABLE", 1: "END"}


def test_without_an_old_one_the_best_good_version_is_served(base):
    publish(base, 1)
    publish(base, 2)
    publish(base, 3, "junk")
    assert answer(opened(base)) == 2


def test_a_model_of_bad_versions_only(base):
    publish(base, 1, "junk")
    repository = opened(base)
    with pytest.raises(ServingError, match=r"Latest\(m\)"):
        answer(repository)
    assert states(repository) == {1: "END"} and not repository.ready


def test_versions_in_use_are_closed_by_the_last_user(base):
    publish(base, 1)
    repository = opened(base)
    with repository.use(MODEL) as first, repository.use(MODEL) as second:
        engine = first.engine
        publish(base, 2)
        settle(repository)
        assert answer(repository) == 2 and states(repository)[1] == "UNLOADING" and not engine.closed
        assert second.engine.answer == 1
    assert engine.closed and states(repository)[1] == "END"


def test_an_older_version_comes_back_when_the_newest_is_removed(base):
    publish(base, 1)
    publish(base, 2)
    repository = opened(base)
    shutil.rmtree(base / "m" / "2")
    settle(repository)
    assert answer(repository) == 1 and states(repository) == {2: "END", 1: "AVAILABLE"}


def test_a_model_that_vanishes_is_unloaded_and_may_return(base):
    publish(base, 1)
    publish(base, 1, name="other")
    repository = opened(base)
    engine = repository.newest()[0].engine
    (base / "m").rename(base / "m..away away")
    repository.scan()
    assert engine.closed and [version.name for version in repository.newest()] == ["other"]
    (base / "m..away away").rename(base / "m")
    settle(repository)
    assert answer(repository) == 1


def test_labels(base):
    for version in (1, 2, 3):
        publish(base, version)
    repository = opened(base, labels={"m": {"stable": 1, "gone": 7}})
    assert states(repository) == {3: "AVAILABLE", 1: "AVAILABLE"}
    assert answer(repository) == 3 and answer(repository, ModelSpec("m", label="stable")) == 1
    assert answer(repository, ModelSpec("m", version=1)) == 1
    assert states(repository, ModelSpec("m", label="stable")) == {1: "AVAILABLE"}
    for spec, message in [
        (ModelSpec("m", version=2), r"Servable not found for request: Specific\(m, 2\)"),
        (ModelSpec("m", label="gone"), r"Servable not found for request: Specific\(m, 7\)"),
        (ModelSpec("m", label="nope"), "Unrecognized servable version label: nope"),
        (ModelSpec("x", label="stable"), "Unrecognized servable version label: stable"),
    ]:
        with pytest.raises(ServingError, match=message):
            answer(repository, spec)


def test_status_of_what_is_not_there(base):
    publish(base, 1)
    repository = opened(base)
    with pytest.raises(ServingError, match="Could not find any versions of model x"):
        repository.status(ModelSpec("x"))
    with pytest.raises(ServingError, match="Could not find version 5 of model m"):
        repository.status(ModelSpec("m", version=5))


def test_links_stay_inside_the_folder(base, tmp_path):
    publish(base, 1)
    publish(tmp_path / "outside", 2)
    (base / "m" / "2").symlink_to(tmp_path / "outside" / "m" / "2")
    (base / "alias").symlink_to(base / "m")
    (base / "foreign").symlink_to(tmp_path / "outside" / "m")
    (base / "broken").symlink_to(tmp_path / "nowhere")
    repository = opened(base)
    assert answer(repository) == answer(repository, ModelSpec("alias")) == 1
    assert states(repository) == {2: "END", 1: "AVAILABLE"}
    assert "outside" in repository.status(MODEL)[0][2].message
    with pytest.raises(ServingError, match="Servable not found"):
        answer(repository, ModelSpec("foreign"))


def test_a_disk_that_fails_does_not_end_the_service(base, monkeypatch, caplog):
    publish(base, 1)
    publish(base, 1, name="n")
    repository = opened(base)

    def fail(directory):
        if directory.name == "m":
            raise OSError(5, "Input/output error")
        return versions(directory)

    monkeypatch.setattr(repositories, "versions", fail)
    publish(base, 2, name="n")
    settle(repository)
    assert answer(repository) == 1 and answer(repository, ModelSpec("n")) == 2
    assert len([record for record in caplog.records if "Input/output error" in record.message]) == 1


def test_the_watch_finds_a_version_and_goes_on_after_a_failure(base, monkeypatch):
    publish(base, 1)
    served = threading.Event()
    repository = opened(base, poll_seconds=0.01, report=lambda line: line == "Serving m version 2." and served.set())
    scan, calls = repository.scan, []
    monkeypatch.setattr(repository, "scan", lambda: calls.append(1) or (1 / 0 if len(calls) == 1 else scan()))
    repository.start()
    publish(base, 2)
    assert served.wait(60)
    engine = repository.newest()[0].engine
    repository.close()
    assert engine.closed and not repository.newest() and not repository.ready


def test_who_cannot_report_serves_on(base, caplog):
    def fail(line):
        raise BrokenPipeError("nobody listens")

    publish(base, 1)
    repository = opened(base, report=fail)
    with repository.use(MODEL) as version:
        publish(base, 2)
        settle(repository)
        assert version.state == "UNLOADING"
    assert repository.newest()[0].number == 2
    assert "Unloaded m version 1. (Cannot be reported: nobody listens)" in caplog.text


def test_a_long_life_leaves_no_pile_of_ended_versions(base):
    publish(base, 1)
    repository = opened(base)
    for version in range(2, 40):
        publish(base, version)
        settle(repository)
        shutil.rmtree(base / "m" / str(version - 1))
    repository.scan()
    assert answer(repository) == 39 and len(states(repository)) <= 22 and len(repository._seen) <= 1


def unreadable(path, monkeypatch):
    """Takes the right to read a folder away, from the superuser too. Returns what gives it back."""
    closed = [path]

    def guarded(function):
        def guard(place, *arguments, **settings):
            if any(folder in (Path(place), *Path(place).parents) for folder in closed):
                raise PermissionError(13, "Permission denied", str(place))
            return function(place, *arguments, **settings)

        return guard

    for owner, name in ((os, "scandir"), (Path, "iterdir"), (Path, "read_text")):
        monkeypatch.setattr(owner, name, guarded(getattr(owner, name)))
    return closed.clear


def looping(path, monkeypatch):
    """Puts a link to itself in the place of a folder. Returns what brings the folder back."""
    aside = path.with_name("aside")
    path.rename(aside)
    path.symlink_to(path.name)

    def mend():
        path.unlink()
        aside.rename(path)

    return mend


DAMAGES = pytest.mark.parametrize("damage", [unreadable, looping])


@DAMAGES
def test_a_version_that_cannot_be_read_at_the_start_hides_no_other(base, monkeypatch, damage):
    publish(base, 1)
    publish(base, 2)
    publish(base, 1, name="n")
    mend = damage(base / "m" / "2", monkeypatch)
    lines = []
    repository = opened(base, report=lines.append)
    settle(repository)
    assert answer(repository) == 1 and answer(repository, ModelSpec("n")) == 1
    assert states(repository) == {2: "END", 1: "AVAILABLE"} and str(base) not in repository.status(MODEL)[0][2].message
    assert len(lines) == 1 and lines[0].startswith("Cannot serve m version 2: ")
    mend()
    settle(repository)
    assert answer(repository) == 2


@DAMAGES
def test_a_version_that_cannot_be_read_does_not_stop_the_watch(base, monkeypatch, damage):
    publish(base, 1)
    lines = []
    repository = opened(base, report=lines.append)
    publish(base, 2)
    mend = damage(base / "m" / "2", monkeypatch)
    for _ in range(3):
        settle(repository)
    publish(base, 1, name="n")
    settle(repository)
    assert answer(repository) == 1 and answer(repository, ModelSpec("n")) == 1
    assert len([line for line in lines if line.startswith("Cannot serve m version 2: ")]) == 1 and len(lines) == 2
    mend()
    settle(repository)
    assert answer(repository) == 2


@DAMAGES
def test_a_model_that_cannot_be_read_hides_no_other(base, monkeypatch, damage, caplog):
    publish(base, 1)
    publish(base, 1, name="n")
    mend = damage(base / "m", monkeypatch)
    if damage is looping:
        (base / "aside").rename(base.parent / "aside")
    repository = opened(base)
    settle(repository)
    assert [version.name for version in repository.newest()] == ["n"]
    assert len([record for record in caplog.records if "Cannot look for models in m" in record.message]) == 1
    if damage is looping:
        (base.parent / "aside").rename(base / "aside")
    mend()
    settle(repository)
    assert answer(repository) == 1


@DAMAGES
def test_what_is_served_serves_on_when_it_cannot_be_read_any_more(base, monkeypatch, damage):
    publish(base, 1)
    repository = opened(base)
    damage(base / "m" / "1", monkeypatch)
    settle(repository)
    assert answer(repository) == 1 and states(repository) == {1: "AVAILABLE"}


def test_links_in_a_circle_within_a_version(base):
    publish(base, 1)
    for name in ("assets", "variables"):
        (base / "m" / "1" / name).symlink_to(name)
    (base / "m" / "notes").symlink_to("notes")
    (base / "file").symlink_to("file")
    assert answer(opened(base)) == 1


def test_a_version_is_tried_again_when_rights_change(base, monkeypatch):
    publish(base, 1, "junk")
    repository = opened(base)
    monkeypatch.setattr(Path, "read_text", lambda path: "1")
    settle(repository)
    assert states(repository) == {1: "END"}
    (base / "m" / "1" / "saved_model.pb").chmod(0o600)
    settle(repository)
    assert answer(repository) == 1


def test_names_that_no_request_can_have_are_said_once(base):
    publish(base, 1, name="no spaces")
    publish(base, 1, name="b\u00e4r\n")
    (base / "no models").mkdir()
    lines = []
    repository = opened(base, report=lines.append)
    settle(repository)
    assert len(lines) == 2 and all("names of models are of A-Z, a-z, 0-9, _, . and -" in line for line in lines)
    assert lines[0].startswith("Skipped 'b\\xe4r\\n': ") and lines[1].startswith("Skipped 'no spaces': ")
    (base / "no spaces").rename(base / "no_spaces")
    settle(repository)
    assert [version.name for version in repository.newest()] == ["no_spaces"] and len(lines) == 3


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "`directory` must be a folder of models, with NAME/VERSION/saved_model.pb.*which does not exist"),
        ("weights.keras", "`directory` must be a folder of models, .*, a file: of a trained model, tf-cyclegan export"),
        (
            "base/m/1/saved_model.pb",
            "`directory` is itself a version of a model; give the folder two above it, {tmp}/base,",
        ),
        ("base/m/1", "`directory` is itself a version of a model; give the folder two above it, {tmp}/base, which has"),
        (
            "base/m",
            "`directory` is itself a model; give the folder above it, {tmp}/base, which has NAME/VERSION/saved_",
        ),
        (
            "plain",
            "itself a version of a model; move it into a folder that has NAME/VERSION/.*, as models/plain/1, and",
        ),
        ("loop", "`directory` must be a folder of models.*loop"),
    ],
)
def test_folders_that_make_no_repository(base, tmp_path, place, message):
    publish(base, 1)
    (tmp_path / "weights.keras").write_text("")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "saved_model.pb").write_text("1")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ValueError, match=message.format(tmp=tmp_path)) as caught:
        Repository(tmp_path / place)
    assert "\n" not in str(caught.value)


def test_a_time_between_looks_that_is_none(base):
    base.mkdir()
    with pytest.raises(ValueError, match="`poll_seconds` must be above 0"):
        Repository(base, poll_seconds=0)


def test_what_is_said_of_a_folder_without_models(base, tmp_path):
    base.mkdir()
    looked_for = f"Waiting for {base}/NAME/VERSION/saved_model.pb"
    assert where_models_are(base) == f"{looked_for}: there are no folders."
    (base / "notes").mkdir()
    (base / "m" / "next").mkdir(parents=True)
    (base / "loop").symlink_to("loop")
    assert where_models_are(base) == f"{looked_for}: no folder there has one."
    publish(base / "deep" / "er", 1)
    assert where_models_are(base) == (
        f"{looked_for}. There are models further below: tf-cyclegan serve {base / 'deep' / 'er'}"
    )
    assert where_models_are(base / "deep").endswith(f"further below: tf-cyclegan serve {base / 'deep' / 'er'}")
    publish(base, 1, "junk")
    assert where_models_are(base) == f"{looked_for}: no model that is there can be loaded."
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    assert where_models_are(tmp_path / "run") == (
        f"Waiting for {tmp_path}/run/NAME/VERSION/saved_model.pb. This is a run folder of training: "
        f"tf-cyclegan export {tmp_path}/run MODELS, then serve MODELS."
    )
