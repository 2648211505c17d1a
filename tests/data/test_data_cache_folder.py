"""The folder of `cache="disk"`: nothing stays that is of no use, and nothing goes that is."""

import os
import subprocess
import sys
import time

import pytest
from conftest import open_dataset, random_images

from tf_cyclegan.data import cache_folder, images

KEY = "0123456789abcdef" * 2
DAY = 86400


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def made(folder, name, days=0):
    (folder / name).write_bytes(b"x")
    os.utime(folder / name, (time.time() - days * DAY,) * 2)


def test_what_a_killed_process_was_writing_goes_and_what_a_living_one_writes_stays(folder):
    code = (
        "import os, pathlib, signal\nfrom tf_cyclegan.data import cache_folder\n"
        f"with cache_folder.writing(pathlib.Path({str(folder / KEY)!r})) as aside:\n"
        "    aside.write_bytes(bytes(99))\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=folder.parent, env=os.environ).returncode == -9
    assert len(names(folder)) == 2
    with cache_folder.writing(folder / KEY) as aside:
        aside.write_bytes(bytes(9))
        cache_folder.clean(folder)
        assert names(folder) == [aside.name, f"{aside.name}.lock"]
    assert names(folder) == []


def test_what_was_long_not_used_goes(folder):
    other = KEY[::-1]
    for name in (f"{KEY}.json", f"{KEY}.bin", f"{other}.bin", f"{other}.{KEY}", "photo.json", f"{KEY}.txt"):
        made(folder, name, days=31)
    made(folder, f"{other}.json", days=29)
    cache_folder.clean(folder)
    assert names(folder) == sorted([f"{other}.bin", f"{other}.json", "photo.json", f"{KEY}.txt"])
    made(folder, f"{other}.json", days=31)
    cache_folder.mark_used(folder / other)
    cache_folder.clean(folder)
    assert f"{other}.bin" in names(folder)


def test_a_new_cache_takes_away_the_old(tmp_path, folder):
    for domain in "AB":
        (tmp_path / "photos" / f"train{domain}").mkdir(parents=True)
        for index, image in enumerate(random_images(2, 16)):
            images.save_png(tmp_path / "photos" / f"train{domain}" / f"{index}.png", images.to_uint8(image))
    made(folder, f"{KEY}.json", days=31)
    made(folder, f"{KEY}.bin", days=31)
    open_dataset(tmp_path / "photos", image_size=16, cache="disk", cache_dir=folder).load()
    assert len(names(folder)) == 4 and not any(name.startswith(KEY) for name in names(folder))
