"""The command `serve` without a folder: the bundled weights, exported once."""

import numpy as np
import pytest
from conftest import command_settings, random_images
from PIL import Image
from serving_process import Server, call

from tf_cyclegan import from_pretrained
from tf_cyclegan.inference import serve
from tf_cyclegan.inference.export.comparison import check_saved_model
from tf_cyclegan.inference.export.signatures import build_signatures
from tf_cyclegan.serving import Client, Engine
from tf_cyclegan.settings.commands import ServeSettings


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def cache(home, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(home))


@pytest.fixture
def directories(monkeypatch):
    """The folders that would have been served."""
    found = []
    monkeypatch.setattr(serve, "run_serve", lambda config, report: found.append(config.directory) or 0)
    return found


def test_what_is_served_answers_as_the_bundled_model(home, directories):
    lines = []
    assert serve.serve(command_settings(ServeSettings), lines.append) == 0
    (folder,) = directories
    assert folder.is_relative_to(home) and [line.split(",")[0] for line in lines] == [
        "Exporting the bundled weights emoji",
        "Taking the bundled weights emoji",
    ]
    model = from_pretrained("emoji")
    for direction in model.directions:
        network, path = model.generator(direction), folder / f"emoji_{direction}" / "1"
        functions = build_signatures(network, model.size_multiple).functions
        assert check_saved_model(path, network, functions, model.size_multiple, 1e-3) < 1e-3


def test_the_second_start_finds_it(directories, monkeypatch):
    serve.serve(command_settings(ServeSettings), print)
    monkeypatch.setattr(serve, "_export", None)  # is not called
    serve.serve(command_settings(ServeSettings), print)
    assert directories[0] == directories[1]


def test_a_damaged_export_is_made_again(directories):
    serve.serve(command_settings(ServeSettings), print)
    graph = directories[0] / "emoji_ab" / "1" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:100])
    serve.serve(command_settings(ServeSettings), print)
    engine = Engine(graph.parent)
    assert engine.run("tensor", {"image": random_images()})["translated"].shape == (1, 32, 32, 3)
    engine.close()


def test_folders_come_before_names(directories, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emoji").mkdir()
    serve.serve(command_settings(ServeSettings, directory=tmp_path / "emoji"), print)
    serve.serve(command_settings(ServeSettings), print)
    assert directories[0] == tmp_path / "emoji" and directories[1] != tmp_path / "emoji"


def test_a_name_alone_is_served_too(directories, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("emoji", "none"):
        serve.serve(command_settings(ServeSettings, directory=type(tmp_path)(name)), print)
    assert directories[0].is_dir() and directories[1] == type(tmp_path)("none")


def test_a_folder_behind_labels_is_the_folder(directories, tmp_path):
    serve.serve(command_settings(ServeSettings, labels=("emoji_ab:stable=1", str(tmp_path))), print)
    assert directories == [tmp_path]


def test_one_command_translates(tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((40, 64, 3), 200, np.uint8)).save(photo)
    with Server(None) as server:
        png = Client(server.url).translate(photo, "emoji_ba")
        assert png.startswith(b"\x89PNG")
        assert b"Translate an image" in call(server.url, "GET", "/").body
        models = call(server.url, "GET", "/demo/config.json").json()["models"]
    assert [model["pair"] for model in models] == ["emoji_ba", "emoji_ab"]
