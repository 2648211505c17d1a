"""Paths as people give them: with ~, mistyped, a file or an archive where a folder is meant."""

import dataclasses
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tf_cyclegan import CycleGAN, from_pretrained, load_dataset, save_pretrained
from tf_cyclegan.cli import main
from tf_cyclegan.inference.export.publishing import publish_version
from tf_cyclegan.pytorch import read_checkpoint, write_checkpoint
from tf_cyclegan.serving.models_folder import checked_folder
from tf_cyclegan.settings.commands import (
    ConvertSettings,
    EvaluateSettings,
    ExportSettings,
    ServeSettings,
    TranslateSettings,
)
from tf_cyclegan.settings.fields import flat
from tf_cyclegan.settings.parsing import parsed, parsed_train
from tf_cyclegan.settings.train import TrainSettings
from tf_cyclegan.training.callbacks import LossTable

# What a command cannot do without.
NEEDED = {
    TrainSettings: [],
    TranslateSettings: ["~/model", "~/input", "-o", "~/output"],
    EvaluateSettings: ["~/model"],
    ExportSettings: ["~/model", "~/output"],
    ConvertSettings: ["~/a.pth", "~/b.pth", "-o", "~/output"],
    ServeSettings: ["~/models"],
}
FOLDERS = ("FOLDER", "FILE", "MODEL")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's home, with a data set in two folders."""
    home = tmp_path / "home"
    for name in ("trainA/1.png", "trainB/1.png"):
        path = home / "horse2zebra" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return home


def path_flags(settings):
    """The flags that take a path, by the metavar in their help."""
    for field in dataclasses.fields(settings):
        group = getattr(settings, field.name, None)
        if dataclasses.is_dataclass(group):
            yield from path_flags(group)
        metavars = [getattr(note, "metavar", None) or "" for note in getattr(field.type, "__metadata__", ())]
        if any(word in metavar for metavar in metavars for word in FOLDERS) and not any("[" in m for m in metavars):
            yield field.name


@pytest.mark.parametrize("settings", NEEDED)
def test_every_path_expands_the_home_folder(settings, home, monkeypatch):
    names = [name for name in path_flags(settings) if name not in ("model", "files", "output", "directory")]
    flags = [*NEEDED[settings], *(f"--{name.replace('_', '-')}=~/{name}" for name in names)]
    found = flat(parsed_train(flags) if settings is TrainSettings else parsed(settings, flags, "command"))
    for name, values in found.items():
        for value in values if isinstance(values, tuple) else [values]:
            assert not str(value).startswith("~"), name
    for name in names:
        assert str(found[name]) == f"{home}/{name}"
    if settings is TrainSettings:
        assert {"dataset", "data_a", "data_b", "data_dir", "initial_model", "output_dir"} <= set(names)


def test_python_finds_the_home_folder(home):
    assert load_dataset("~/horse2zebra", image_size=16).cardinality() == 1
    assert load_dataset(data_a="~/horse2zebra/trainA", data_b="~/horse2zebra/trainB", image_size=16, test_share=0)
    assert not list((home.parent / "here").iterdir())


@pytest.mark.eager
def test_python_writes_to_the_home_folder_and_reads_from_it(home):
    model = CycleGAN(image_shape=(32, 32, 3), filters=4, residual_blocks=1, discriminator_filters=4, pool_size=0)
    save_pretrained(model, "~/weights")
    model.save(home / "model.keras")
    for path in ("~/weights", "~/model.keras", Path("~/weights")):
        assert from_pretrained(path).filters == 4
    write_checkpoint("~/net.pth", {"bias": np.zeros(4, "float32")})
    assert read_checkpoint(Path("~/net.pth"))["bias"].shape == (4,)
    publish_version("~/models/emoji_ab", os.mkdir)
    assert checked_folder("~/models") == home.resolve() / "models"
    LossTable("~/losses.csv").on_epoch_end(0, {"loss": 1.0})
    assert (home / "losses.csv").is_file()
    assert not list((home.parent / "here").iterdir())


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("trainA/1.png", b"")


@pytest.mark.parametrize(
    "name, words",
    [
        ("~/horse2zebr", ["no such folder", "horse2zebra'"]),
        ("./facades", ["there is no such folder"]),
        ("data/facades", ["there is no such folder", "not even"]),
        ("photos", ["no folder of that name"]),
        ("facades.zip", ["an archive", "unpack"]),
        ("facades.tar", ["an archive", "unpack"]),
        ("facades.png", ["a file"]),
    ],
)
@pytest.mark.parametrize("argument", ["name", "data_a"])
def test_what_is_no_folder_is_answered_as_such(argument, name, words, home):
    archive("facades.zip")
    for path in ("facades.tar", "facades.png"):
        open(path, "wb").close()
    with pytest.raises(ValueError) as caught:
        load_dataset(**{argument: name, **({"data_b": "~/horse2zebra/trainB"} if argument == "data_a" else {})})
    error = str(caught.value)
    assert f"`{argument}` must be" in error
    assert "cycle_gan/facades" not in error and "cycle_gan/horse2zebra" not in error
    words = ["there is no such folder"] if argument == "data_a" and name == "photos" else words
    assert all(word in error for word in words), error


@pytest.mark.parametrize("name", ["horse2zebr", "cycle_gan/horse2zebr", "facade"])
def test_names_of_data_sets_are_still_guessed(name, home):
    with pytest.raises(ValueError, match="Did you mean 'cycle_gan/(horse2zebra|facades)'?"):
        load_dataset(name)


def test_an_archive_of_photos_is_no_input(home, capsys):
    archive("photos.zip")
    assert main(["translate", "emoji", "photos.zip", "-o", "out"]) == 2
    error = capsys.readouterr().err
    assert "INPUT must be" in error and "photos.zip" in error and "unpack" in error
