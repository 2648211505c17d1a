"""Checkpoints: whole or not at all, the newest that can be read, and nothing lost when a disk is full."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from callbacks_fake import FakeModel, batches

from tf_cyclegan.callbacks import Checkpoints, TrainingDiverged, load_newest, newest_checkpoint


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


def test_if_nothing_can_be_read_it_says_so_instead_of_starting_again(tmp_path):
    damage(save_at(saver(tmp_path), 3), "cut")
    with pytest.raises(ValueError, match=r"(?s)`directory`.*step_00000003.keras: not a whole"):
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
    for name in ("saving_step_00000009.keras", "notes.txt", "best.keras"):
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
    root = Path(__file__).resolve().parents[1]
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
