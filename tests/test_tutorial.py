"""The tutorial as a stranger runs it: without images, without a screen."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TUTORIAL = Path(__file__).parents[1] / "examples" / "tutorial.py"
TINY = ["--drawings=16", "--image-size=32", "--filters=4", "--epochs=2"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What a tiny run wrote: its folder and its standard output."""
    folder = tmp_path_factory.mktemp("tutorial")
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    command = [sys.executable, str(TUTORIAL), *TINY, f"--output-dir={folder / 'out'}"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder / "out", ended.stdout


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float32)


@pytest.mark.parametrize(
    "name", ["batch", "history", "translated_ab", "translated_ba", "served", "samples/epoch_0001", "samples/epoch_0002"]
)
def test_pictures_are_there_and_show_something(ran, name):
    picture = pixels(ran[0] / f"{name}.png")
    assert min(picture.shape[:2]) > 150 and picture.std() > 10


def test_drawings_become_files_of_two_folders(ran):
    for kind in ("flat", "shaded"):
        files = list((ran[0] / kind).iterdir())
        assert len(files) == 16 and pixels(files[0]).shape == (64, 64, 3)


def test_the_cycle_error_is_told(ran):
    assert re.findall(r"cycle error of (ab|ba): \d\.\d{3}", ran[1]) == ["ab", "ba"]


def test_the_server_answers_what_the_saved_model_translates(ran):
    import keras

    import tf_cyclegan

    model = keras.models.load_model(ran[0] / "model.keras")
    asked = pixels(ran[0] / "asked.png")[None] / 127.5 - 1
    expected = (np.asarray(model.translate(asked, "ab"))[0] + 1) * 127.5
    assert isinstance(model, tf_cyclegan.CycleGAN)
    assert np.abs(pixels(ran[0] / "answered.png") - expected).max() <= 1


def test_cells_stand_alone():
    """Each cell is whole statements, or a text in which every line is a comment."""
    _, *cells = re.split(r"^# %%", TUTORIAL.read_text(), flags=re.MULTILINE)
    assert len(cells) > 20
    for cell in cells:
        kind, body = cell.split("\n", 1)
        compile(body, "cell", "exec")
        assert kind == "" or all(line.startswith("#") for line in body.split("\n") if line)
