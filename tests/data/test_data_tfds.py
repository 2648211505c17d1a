"""The real TFDS builder, fed by a small zip file from a server on this machine."""

import functools
import http.server
import io
import sys
import threading
import zipfile

import numpy as np
import pytest
from conftest import open_dataset
from PIL import Image

from tf_cyclegan.data import tfds
from tf_cyclegan.data.tfds import NAMES

COUNTS = {"trainA": 4, "trainB": 3, "testA": 2, "testB": 2}


def jpeg(value):
    stream = io.BytesIO()
    Image.fromarray(np.full((20, 24, 3), value, np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


asked = []


def while_asked():
    """What happens at each request."""


@pytest.fixture
def mirror(tmp_path):
    asked.clear()
    folder = tmp_path / "mirror"
    folder.mkdir()
    with zipfile.ZipFile(folder / "horse2zebra.zip", "w") as archive:
        for i, (name, count) in enumerate(COUNTS.items()):
            for k in range(count):
                archive.writestr(f"horse2zebra/{name}/{k}.jpg", jpeg(40 * i + 10 * k))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            asked.append(self.path)
            while_asked()
            super().do_GET()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_builder_from_mirror(mirror, tmp_path):
    data_dir = tmp_path / "tfds"
    options = {"image_size": 16, "data_dir": data_dir, "cache_dir": tmp_path}
    train = open_dataset("cycle_gan/horse2zebra", mirror=mirror, **options)
    assert train.counts == (4, 3) and train.steps_per_epoch == 4 and train.image_size == (16, 16)
    images_a, images_b = next(iter(train.epoch()))
    assert images_a.shape == images_b.shape == (1, 16, 16, 3)
    assert all("trainA" in name for name in train.names(0)[0])
    assert [path.name for path in data_dir.iterdir()] == ["cycle_gan"]  # no downloads left

    # Prepared now: needs no server. The values of the images are those that were put in.
    test = open_dataset("cycle_gan/horse2zebra", split="test", mirror="http://127.0.0.1:9", batch_size=2, **options)
    images_a, images_b = next(iter(test.epoch()))
    np.testing.assert_allclose(sorted(images_a.numpy().mean((1, 2, 3))), np.array([80, 90]) / 127.5 - 1, atol=0.02)
    np.testing.assert_allclose(sorted(images_b.numpy().mean((1, 2, 3))), np.array([120, 130]) / 127.5 - 1, atol=0.02)


def test_two_that_need_the_same_data_set_download_it_once(mirror, tmp_path, monkeypatch):
    data_dir, waits, counts = tmp_path / "tfds", threading.Event(), []
    monkeypatch.setattr(tfds._logger, "warning", lambda *_: waits.set())

    def need():
        counts.append(open_dataset("cycle_gan/horse2zebra", mirror=mirror, image_size=16, data_dir=data_dir).counts)

    def meet():
        if not other.is_alive():
            other.start()
            assert waits.wait(60)

    (data_dir / ".download-killed").mkdir(parents=True)
    other = threading.Thread(target=need)
    monkeypatch.setattr(sys.modules[__name__], "while_asked", meet)
    need()
    other.join()
    assert counts == [(4, 3)] * 2 and len(asked) == 1
    assert [path.name for path in data_dir.iterdir()] == ["cycle_gan"]


@pytest.mark.parametrize("exists", [False, True])
def test_failed_download_says_what_to_do_and_leaves_nothing(mirror, tmp_path, exists):
    data_dir = tmp_path / "tfds"
    if exists:
        data_dir.mkdir()
        (data_dir / "other").write_text("stays")
    with pytest.raises(ValueError, match=r"apple2orange\.zip.*by hand.*`mirror`"):
        open_dataset("cycle_gan/apple2orange", mirror=mirror, data_dir=data_dir)
    left = [path.name for path in data_dir.rglob("*")] if data_dir.exists() else []
    assert left == (["other"] if exists else [])
    assert data_dir.exists() == exists


def test_names_are_those_of_the_installed_builder():
    import tensorflow_datasets

    configs = tensorflow_datasets.builder_cls("cycle_gan").builder_configs
    assert set(NAMES) == {f"cycle_gan/{name}" for name in configs}


def test_pairs_are_refused():
    with pytest.raises(ValueError, match="`paired`"):
        open_dataset("cycle_gan/maps", paired=True)
