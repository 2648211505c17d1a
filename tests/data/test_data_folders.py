"""Folders of images: layouts, order, hold-out, broken files and messages."""

import numpy as np
import pytest
from conftest import open_dataset
from PIL import Image

from tf_cyclegan.data import load_dataset
from tf_cyclegan.data.folders import list_images


def write(folder, names, size=(20, 24), value=0):
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((*size, 3), (value + i * 10) % 256, np.uint8)
        Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    for k, folder in enumerate(("trainA", "trainB", "testA", "testB")):
        write(tmp_path / "set" / folder, [f"{i}.png" for i in range(3 + k % 2)], value=50 * k)
    return tmp_path / "set"


def test_layouts_give_the_same(root):
    other = root.parent / "other"
    for folder in ("trainA", "trainB", "testA", "testB"):
        (other / folder[:-1]).mkdir(parents=True, exist_ok=True)
        (root / folder).rename(other / folder[:-1] / folder[-1])
    with pytest.raises(ValueError, match="trainA"):
        open_dataset(root)
    data = open_dataset(other, "test", image_size=16)
    assert data.counts == (3, 4) and data.names(3) == (["test/A/0.png"], ["test/B/3.png"])


def test_order_subfolders_and_what_is_ignored(tmp_path):
    write(tmp_path, ["10.png", "2.png", "b/1.PNG", "a/1.jpeg", ".hidden.png", ".git/1.png"])
    (tmp_path / "notes.txt").write_text("not an image")
    names = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert names == ["2.png", "10.png", "a/1.jpeg", "b/1.PNG"]
    (tmp_path / "b" / "round").symlink_to(tmp_path)  # in a circle
    assert len(list_images(tmp_path)) == 4


def test_test_split_is_in_order_and_resized_straight(root):
    data = open_dataset(root, "test", image_size=(8, 12), batch_size=3)
    assert data.steps_per_epoch == 2 and int(data.epoch().cardinality()) == 2
    first, last = data.epoch()
    assert first[0].shape == (3, 8, 12, 3) and last[1].shape == (1, 8, 12, 3)
    values = np.concatenate([batch[0].numpy()[:, 0, 0, 0] for batch in (first, last)])
    np.testing.assert_allclose((values + 1) * 127.5, [100, 110, 120, 100], atol=1e-3)
    assert data.names(1) == data.names(3) == (["testA/0.png"], ["testB/3.png"])
    assert next(iter(data.stream(3)))[0].shape[0] == 1


@pytest.mark.parametrize("split, folder", [("train", "trainB"), ("test", "testB")])
def test_missing_and_empty_folders(root, split, folder):
    for path in (root / folder).iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=f"trainA.*{folder}: no images"):
        open_dataset(root, split)
    (root / folder).rmdir()
    with pytest.raises(ValueError, match=f"trainA.*{folder}: missing.*Folders found in .*testA"):
        open_dataset(root, split)


@pytest.mark.parametrize(
    "train, missing",
    [
        (("trainA", "trainB"), "testA and testB"),
        (("train/A", "train/B"), "test/A and test/B"),
        (("train_label", "train_img"), "test_label and test_img"),
        (("train",), "test"),
    ],
)
def test_a_missing_test_split_is_said_in_ten_words(tmp_path, train, missing):
    for folder in train:
        write(tmp_path / folder, ["1.png", "2.png"])
    with pytest.raises(ValueError) as caught:
        open_dataset(tmp_path, "test", label_classes=200 * ("train_label" in train))
    assert str(caught.value) == f"`name` has no test split: add {missing}. Received: name={str(tmp_path)!r}"


def test_two_folders_with_a_share_held_out(tmp_path):
    write(tmp_path / "x", [f"{i}.png" for i in range(20)])
    write(tmp_path / "y", [f"{i}.png" for i in range(10)])
    options = {"data_a": tmp_path / "x", "data_b": tmp_path / "y", "test_share": 0.2, "image_size": 16}
    train, test = open_dataset(**options), open_dataset(split="test", seed=9, **options)
    assert train.counts == (16, 8) and test.counts == (4, 2)
    for i in range(2):
        both = [set(data._domains[i].images.names) for data in (train, test)]
        assert not both[0] & both[1]
    options["test_share"] = 0
    assert open_dataset(**options).counts == (20, 10)
    with pytest.raises(ValueError, match="`test_share` leaves no images"):
        open_dataset(split="test", **options)
    with pytest.raises(ValueError, match="`data_a` and `data_b`.*together"):
        open_dataset(data_a=tmp_path / "x")
    with pytest.raises(ValueError, match="`data_b` must be a folder"):
        open_dataset(data_a=tmp_path / "x", data_b=tmp_path / "z")
    with pytest.raises(ValueError, match="`test_share` must be in"):
        open_dataset(data_a=tmp_path / "x", data_b=tmp_path / "y", test_share=1.0)


def test_paired_folders(tmp_path):
    for folder in ("trainA", "trainB"):
        write(tmp_path / folder, [f"{i}.png" for i in range(5)])
    data = open_dataset(tmp_path, image_size=16, paired=True, batch_size=2)
    names_a, names_b = data.names(1)
    assert [n[-5:] for n in names_a] == [n[-5:] for n in names_b]
    held = {"data_a": tmp_path / "trainA", "data_b": tmp_path / "trainB", "paired": True, "test_share": 0.4}
    names = open_dataset(split="test", image_size=16, batch_size=2, **held).names(0)
    assert names[0] == names[1]
    write(tmp_path / "trainB", ["6.png"])
    with pytest.raises(ValueError, match=r"5 and 6 files, without a partner: trainB/6\.png"):
        open_dataset(tmp_path, paired=True)


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_broken_files(root, tmp_path, cache):
    whole = (root / "trainA" / "1.png").read_bytes()
    (root / "trainA" / "1.png").write_bytes(b"this is text")
    options = {"image_size": 16, "cache": cache, "cache_dir": tmp_path / "cache"}
    with pytest.raises(ValueError, match="1.png.*`skip_unreadable`"):
        open_dataset(root, **options)
    data = open_dataset(root, skip_unreadable=True, **options).load()
    assert data.counts == (2, 4) and [name for name, _ in data.skipped] == ["trainA/1.png"]
    assert "1 unreadable" in data.describe()
    assert {name for step in range(8) for name in data.names(step)[0]} == {"trainA/0.png", "trainA/2.png"}
    assert len(list(data.epoch())) == 4

    # Cut short after the header: only decoding can tell.
    (root / "trainA" / "1.png").write_bytes(whole[:-25])
    data = open_dataset(root, **options)
    if cache == "none":
        with pytest.raises(Exception, match="1.png"):
            list(data.epoch())
        return
    with pytest.raises(ValueError, match="1.png.*`skip_unreadable`"):
        data.load()
    for _ in range(2):  # the second time from the cache on disk
        data = open_dataset(root, skip_unreadable=True, **options).load()
        assert data.counts == (2, 4) and [name for name, _ in data.skipped] == ["trainA/1.png"]
    with pytest.raises(ValueError, match="1.png.*`skip_unreadable`"):
        open_dataset(root, **options).load()


def test_nothing_readable_and_skipped_pairs(root):
    for path in (root / "trainA").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="No image of domain A"):
        open_dataset(root, skip_unreadable=True)
    (root / "testB" / "3.png").unlink()
    (root / "testB" / "0.png").write_bytes(b"")
    data = open_dataset(root, "test", image_size=16, skip_unreadable=True, paired=True)
    assert data.names(0) == (["testA/1.png"], ["testB/1.png"])


@pytest.mark.parametrize(
    "name, hint",
    [("emojis", "'emoji'"), ("cycle_gan/horse2zebr", "'cycle_gan/horse2zebra'"), ("horse2zebra", "'cycle_gan/horse")],
)
def test_unknown_names(name, hint):
    with pytest.raises(ValueError, match=f"`name` must be 'emoji', 'emoji/lines'.*vangogh2photo.*trainA.*mean {hint}"):
        load_dataset(name)


def test_deep_images_and_channels(tmp_path):
    for folder, channels in (("trainA", 5), ("trainB", 1)):
        (tmp_path / folder).mkdir()
        for i in range(2):
            np.save(tmp_path / folder / f"{i}.npy", np.full((12, 12, channels), i * 50, np.float32))
    images_a, images_b = next(iter(load_dataset(tmp_path, image_size=8, channels=(5, 1), value_range=(0, 50))))
    assert images_a.shape == (1, 8, 8, 5) and images_b.shape == (1, 8, 8, 1)
    assert {-1.0, 1.0} >= set(np.unique(images_a.numpy().round(4)))
    with pytest.raises(ValueError, match=r"trainA/0.npy.*`channels`"):
        open_dataset(tmp_path, image_size=8, value_range=(0, 50))
    with pytest.raises(ValueError, match=r"trainA/0.npy.*`value_range`"):
        open_dataset(tmp_path, image_size=8, channels=(5, 1))


def test_no_file_is_to_be_removed_for_what_all_files_share(tmp_path):
    hint = "Remove the file"
    for folder in ("trainA", "trainB"):
        (tmp_path / folder).mkdir()
        for i in range(3):
            np.save(tmp_path / folder / f"{i}.npy", np.zeros((12, 12, 3), np.float32))
    with pytest.raises(ValueError, match=r"trainA/0.npy.*`value_range`") as caught:
        open_dataset(tmp_path, image_size=8)
    assert hint not in str(caught.value)
    write(tmp_path / "trainA", ["3.png"])
    with pytest.raises(ValueError, match=f"trainA/0.npy.*`value_range`.*{hint}"):
        open_dataset(tmp_path, image_size=8)
    for file in (tmp_path / "trainA").iterdir():
        file.unlink()
    for i in range(3):  # only decoding can tell
        Image.fromarray(np.full((12, 12), i, np.uint16)).save(tmp_path / "trainB" / f"{i}.tif")
        (tmp_path / "trainB" / f"{i}.npy").unlink()
        Image.fromarray(np.full((12, 12), i, np.int32)).save(tmp_path / "trainA" / f"{i}.tif")
    with pytest.raises(ValueError, match=r"trainA/0.tif.*`value_range`") as caught:
        open_dataset(tmp_path, image_size=8).load()
    assert hint not in str(caught.value)
