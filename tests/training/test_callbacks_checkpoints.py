"""Checkpoints: whole or not at all, the newest that can be read, and nothing lost when a disk is full."""

import errno
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
import zipfile
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from callbacks_fake import FakeModel, batches
from conftest import ROOT

from tf_cyclegan.training.callbacks import Checkpoints, Interrupt, Snapshot, TrainingDiverged
from tf_cyclegan.weights.run_files import check_file, load_newest, newest_checkpoint, read_settings


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def steps(folder):
    return [int(name[5:13]) for name in names(folder) if name.endswith(".keras")]


def saver(folder, model=None, **settings):
    callback = Checkpoints(folder, **settings)
    callback.set_model(model or FakeModel())
    return callback


def save_at(callback, *steps):
    for step in steps:
        callback.model.step.assign(step)
        path = callback.save()
    return path


def test_fit_keeps_the_newest_few_and_tells_each_path(tmp_path):
    saved = []
    callback = Checkpoints(tmp_path / "new", keep=2, on_saved=saved.append)
    FakeModel().fit(batches(3), epochs=4, verbose=0, callbacks=[callback])
    assert names(tmp_path / "new") == ["step_00000009.keras", "step_00000012.keras"]
    assert [os.path.basename(path) for path in saved] == [f"step_{step:08d}.keras" for step in (3, 6, 9, 12)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (dict(frequency_epochs=2), [10, 15]),  # 15: the end of training
        (dict(frequency_steps=4, frequency_epochs=99), [4, 8, 12, 15]),
        (dict(frequency_steps=5), [5, 10, 15]),
    ],
)
def test_frequencies(tmp_path, settings, expected):
    FakeModel().fit(batches(5), epochs=3, verbose=0, callbacks=[Checkpoints(tmp_path, keep=9, **settings)])
    assert steps(tmp_path) == expected


def test_an_epoch_cut_short_is_saved(tmp_path):
    model = FakeModel()
    stop = keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: setattr(model, "stop_training", b == 1))
    model.fit(batches(5), verbose=0, callbacks=[stop, Checkpoints(tmp_path, frequency_epochs=7)])
    assert steps(tmp_path) == [2]


def test_what_is_loaded_is_what_was_saved(tmp_path):
    model = FakeModel()
    model.shift.assign(0.75)
    path = save_at(saver(tmp_path, model), 7)
    loaded, loaded_path, skipped = load_newest(tmp_path)
    assert (loaded_path, skipped, int(loaded.step), float(loaded.shift)) == (path, [], 7, 0.75)
    assert newest_checkpoint(tmp_path) == path


def test_an_empty_or_missing_folder_has_no_checkpoint(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        assert newest_checkpoint(folder) is None and load_newest(folder) == (None, None, [])


def damage(path, how):
    data = Path(path).read_bytes()
    Path(path).write_bytes({"cut": data[: len(data) // 2], "empty": b"", "flip": flipped(data)}[how])


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 64]) + data[middle + 64 :]


@pytest.mark.parametrize("how", ["cut", "empty", "flip"])
def test_a_damaged_newest_file_falls_back_to_the_one_before(tmp_path, how):
    newest = save_at(saver(tmp_path), 3, 6)
    damage(newest, how)
    model, path, skipped = load_newest(tmp_path)
    assert int(model.step) == 3 and path.endswith("step_00000003.keras")
    assert [entry[0] for entry in skipped] == [newest] and skipped[0][1]


def test_one_changed_byte_of_a_weight_is_noticed(tmp_path):
    callback = saver(tmp_path)
    save_at(callback, 3)
    callback.model.shift.assign(0.71)
    newest = Path(save_at(callback, 6))
    data = newest.read_bytes()
    place = data.index(np.float32(0.71).tobytes())
    newest.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    model, _, skipped = load_newest(tmp_path)
    assert int(model.step) == 3
    assert "checksum of model.weights.h5" in skipped[0][1]


def test_wherever_a_byte_changes_the_file_is_damaged_or_says_the_same(tmp_path):
    path = Path(save_at(saver(tmp_path, settings={"filters": 4}), 3))
    data = path.read_bytes()
    missed = 0
    for place in np.random.RandomState(0).permutation(len(data))[:300]:
        path.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
        try:
            check_file(path)
            missed += 1  # dates and attributes of the archive's entries
        except ValueError:
            continue
        assert read_settings(path) == {"filters": 4}
        with zipfile.ZipFile(path) as archive:
            assert set(archive.namelist()) == {"metadata.json", "config.json", "model.weights.h5"}
    assert missed < 15


def test_a_checkpoint_holds_settings_which_are_checked_too(tmp_path):
    settings = {"filters": 4, "lambda_cycle": [10.0, 5.0], "data_a": None, "name": "schön"}
    path = Path(save_at(saver(tmp_path, settings=settings), 3))
    assert read_settings(path) == settings and int(keras.models.load_model(path).step) == 3
    data = path.read_bytes()
    place = data.rindex(b'"filters": 4')
    path.write_bytes(data[:place] + b'"filters": 5' + data[place + len(b'"filters": 5') :])
    with pytest.raises(ValueError, match="checksum of the settings"):
        check_file(path)
    assert read_settings(path) is None


def test_a_file_without_settings_is_one_too(tmp_path):
    assert read_settings(save_at(saver(tmp_path), 3)) is None and read_settings(tmp_path / "missing.keras") is None
    with pytest.raises(ValueError, match="`settings`.*65535"):
        save_at(saver(tmp_path, settings={"long": "x" * 70_000}), 6)
    assert steps(tmp_path) == [3]


def test_if_nothing_can_be_read_it_says_so_instead_of_starting_again(tmp_path):
    damage(save_at(saver(tmp_path), 3), "cut")
    with pytest.raises(ValueError, match=r"(?s)`directory`.*step_00000003.keras: it is not a whole"):
        load_newest(tmp_path)


def test_a_loader_of_ones_own(tmp_path):
    path = save_at(saver(tmp_path), 3)
    assert load_newest(tmp_path, loader=os.path.basename) == ("step_00000003.keras", path, [])


def test_later_steps_of_a_left_run_are_set_aside_not_mistaken_for_the_newest(tmp_path):
    damage(save_at(saver(tmp_path), 3, 100), "cut")
    path = save_at(saver(tmp_path, keep=1), 50)
    assert newest_checkpoint(tmp_path) == path
    assert names(tmp_path) == ["step_00000050.keras", "step_00000100.keras.old"]


def test_a_damaged_file_of_the_same_step_is_replaced(tmp_path):
    damage(save_at(saver(tmp_path), 3), "cut")
    save_at(saver(tmp_path), 3)
    assert int(load_newest(tmp_path)[0].step) == 3


def test_leftovers_are_removed_at_start_and_other_files_are_left_alone(tmp_path):
    (tmp_path / "writing").mkdir()
    for name in ("writing/step_00000009.keras", "writing/tmpabc", "notes.txt", "best.keras"):
        (tmp_path / name).touch()
    FakeModel().fit(batches(1), verbose=0, callbacks=[Checkpoints(tmp_path)])
    assert names(tmp_path) == ["best.keras", "notes.txt", "step_00000001.keras"]


@pytest.mark.parametrize("bytes_written", [0, 2000])
def test_a_full_disk_keeps_the_old_ones_and_names_the_folder(tmp_path, monkeypatch, bytes_written):
    callback = saver(tmp_path, keep=1)
    save_at(callback, 3)

    def full(path):
        Path(path).write_bytes(bytes(bytes_written))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(callback.model, "save", full)
    with pytest.raises(OSError, match=f"(?s){tmp_path}: No space.*step_00000003.keras") as error:
        save_at(callback, 6)
    assert error.value.errno == errno.ENOSPC
    assert names(tmp_path) == ["step_00000003.keras"]
    monkeypatch.undo()
    assert save_at(callback, 6).endswith("step_00000006.keras"), "the next attempt is not skipped"


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    callback = saver(tmp_path)
    save_at(callback, 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=7))
    monkeypatch.setattr(callback.model, "save", lambda path: pytest.fail("HDF5 may crash where its file is cut off"))
    with pytest.raises(OSError, match="No space.*step_00000003.keras, is as it was") as error:
        save_at(callback, 6)
    assert error.value.errno == errno.ENOSPC and names(tmp_path) == ["step_00000003.keras"]


def test_errors_of_many_lines_and_without_a_number_are_told_in_one(tmp_path, monkeypatch):
    callback = saver(tmp_path)

    def fail(path):
        raise OSError("file write failed:\ntime = now")

    monkeypatch.setattr(callback.model, "save", fail)
    with pytest.raises(OSError, match="file write failed: time = now. There is none yet") as error:
        save_at(callback, 1)
    assert error.value.errno == errno.EIO


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are of Unix")
def test_a_write_that_really_fails(tmp_path):
    import resource

    callback = saver(tmp_path)
    save_at(callback, 3)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        with pytest.raises(OSError, match=str(tmp_path)):
            save_at(callback, 6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert int(load_newest(tmp_path)[0].step) == 3 and names(tmp_path) == ["step_00000003.keras"]


def test_broken_weights_never_take_the_place_of_good_ones(tmp_path):
    callback = saver(tmp_path, keep=1)
    save_at(callback, 3)
    callback.model.shift.assign(np.nan)
    with pytest.raises(TrainingDiverged, match="shift.*6 steps"):
        save_at(callback, 6)
    assert steps(tmp_path) == [3]


# ---- while training goes on ----


class HeldModel(FakeModel):
    """Whose saving waits until it is let go."""

    def hold(self):
        self.saving, self.released, self.taken = threading.Event(), threading.Event(), []
        return self

    def save(self, path):
        self.taken.append(threading.current_thread())
        self.saving.set()
        assert self.released.wait(60)
        super().save(path)


def at_step(step, do):
    return keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: do() if batch == step - 1 else None)


def test_training_goes_on_while_a_checkpoint_of_its_step_is_written(tmp_path):
    model = HeldModel().hold()
    seen = []

    def look():
        assert model.saving.wait(60)
        seen.append((int(model.step), names(tmp_path)))
        model.released.set()

    checkpoints = Checkpoints(tmp_path, frequency_steps=2)
    model.fit(batches(5), verbose=0, callbacks=[at_step(3, look), checkpoints])
    assert seen == [(3, ["writing"])] and threading.main_thread() not in model.taken
    kept = keras.models.load_model(tmp_path / "step_00000002.keras", custom_objects={"HeldModel": HeldModel})
    assert (int(kept.step), float(kept.shift), int(model.step)) == (2, 1.0, 5)


def test_one_is_written_at_a_time_and_each_is_told_between_steps(tmp_path):
    model, told = HeldModel().hold(), []
    release = threading.Timer(0.3, model.released.set)
    checkpoints = Checkpoints(
        tmp_path, frequency_steps=1, on_saved=lambda path: told.append((int(path[-14:-6]), threading.current_thread()))
    )
    release.start()
    model.fit(batches(3), verbose=0, callbacks=[checkpoints])
    assert told == [(step, threading.main_thread()) for step in (1, 2, 3)]
    assert steps(tmp_path) == [1, 2, 3]


def test_a_snapshot_goes_when_it_is_written(tmp_path, monkeypatch):
    made = []

    class Watched(Snapshot):
        def __init__(self, model):
            super().__init__(model)
            made.append(weakref.ref(self))

    monkeypatch.setattr("tf_cyclegan.training.callbacks.checkpoints.Snapshot", Watched)
    alive = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda b, logs: alive.append(sum(ref() is not None for ref in made))
    )
    callback = Checkpoints(tmp_path, frequency_steps=1)
    FakeModel().fit(batches(4), verbose=0, callbacks=[callback, count])
    gc.collect()
    assert max(alive) == 1 and [ref() for ref in made] == [None] * 4


def fails(path):
    Path(path).write_bytes(b"a part")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_fails_stops_training_after_the_next_step(tmp_path, monkeypatch):
    save_at(saver(tmp_path), 1)
    model = FakeModel()
    model.step.assign(1)
    monkeypatch.setattr(model, "save", fails)
    checkpoints = Checkpoints(tmp_path, frequency_steps=3)
    wait = at_step(3, lambda: checkpoints._writer._thread.join())
    with pytest.raises(OSError, match="No space.*The newest one, step_00000001.keras, is as it was") as error:
        model.fit(batches(9), verbose=0, callbacks=[wait, checkpoints])
    assert error.value.errno == errno.ENOSPC and len(str(error.value).splitlines()) == 1
    assert int(model.step) == 4 and names(tmp_path) == ["step_00000001.keras"]


def test_what_went_wrong_first_is_what_is_told(tmp_path, monkeypatch):
    model = FakeModel()
    monkeypatch.setattr(model, "save", fails)
    callback = saver(tmp_path, model)
    with pytest.raises(KeyError, match="first"), callback:
        callback.save_beside_training()
        raise KeyError("first")
    with pytest.raises(OSError, match="There is none yet"), callback:
        callback.save_beside_training()


def test_an_error_in_training_leaves_the_last_checkpoint_whole(tmp_path):
    model = HeldModel().hold()

    def stop():
        threading.Timer(0.2, model.released.set).start()
        raise InterruptedError

    checkpoints = Checkpoints(tmp_path, frequency_steps=2)
    with pytest.raises(InterruptedError), checkpoints:
        model.fit(batches(5), verbose=0, callbacks=[at_step(3, stop), checkpoints])
    assert names(tmp_path) == ["step_00000002.keras"]


def test_a_signal_saves_its_step_after_what_is_being_written(tmp_path):
    model = HeldModel().hold()

    def terminate():
        assert model.saving.wait(60)
        signal.raise_signal(signal.SIGTERM)
        threading.Timer(0.2, model.released.set).start()

    with Interrupt() as interrupt, Checkpoints(tmp_path, frequency_steps=2) as checkpoints:
        model.fit(batches(9), verbose=0, callbacks=[at_step(3, terminate), interrupt, checkpoints])
    assert interrupt.signal is signal.SIGTERM and names(tmp_path) == ["step_00000002.keras", "step_00000003.keras"]


def test_broken_weights_stop_training_from_the_thread_too(tmp_path):
    model = FakeModel()
    checkpoints = Checkpoints(tmp_path, frequency_steps=2)
    break_ = at_step(4, lambda: model.shift.assign(np.inf))
    with pytest.raises(TrainingDiverged, match="shift.*4 steps"), checkpoints:
        model.fit(batches(9), verbose=0, callbacks=[break_, checkpoints])
    assert names(tmp_path) == ["step_00000002.keras"]


def test_without_a_thread(tmp_path):
    model = HeldModel().hold()
    model.released.set()
    model.fit(batches(3), verbose=0, callbacks=[Checkpoints(tmp_path, frequency_steps=2, background=False)])
    assert steps(tmp_path) == [2, 3]
    kept = keras.models.load_model(tmp_path / "step_00000002.keras", custom_objects={"HeldModel": HeldModel})
    assert int(kept.step) == 2


KILLED = """
import sys
from callbacks_fake import FakeModel
from tf_cyclegan.callbacks import Checkpoints
callback = Checkpoints(sys.argv[1], keep=2)
callback.set_model(FakeModel())
for step in range(1, 1000000):
    callback.model.step.assign(step)
    callback.model.shift.assign(step)
    callback.save()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills as Unix does")
def test_killed_while_it_saves_the_newest_is_whole(tmp_path):
    root = ROOT
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("step_*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    model, path, skipped = load_newest(tmp_path)
    assert skipped == [] and int(model.step) == int(model.shift) == int(path[-14:-6])


@pytest.mark.parametrize("wrong", [dict(keep=0), dict(frequency_epochs=0), dict(frequency_steps=-1)])
def test_wrong_arguments_are_named(tmp_path, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"`{name}`.*{value}"):
        Checkpoints(tmp_path, **wrong)
