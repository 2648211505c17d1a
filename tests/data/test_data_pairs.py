"""Pairs: side by side in one file, or in two folders under the same names."""

import numpy as np
import pytest
from conftest import open_dataset
from PIL import Image

from tf_cyclegan.data import images
from tf_cyclegan.data.transforms import Sizing

OPTIONS = {"image_size": 16, "load_size": (20, 24)}


def picture(index, blue, size=(20, 24)):
    """An image in which every pixel says where it is, and of which image and domain."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([y * 8, x * 8, np.full(size, blue + index)], axis=-1).astype(np.uint8)


def write_pair(path, index, size=(20, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    both = np.concatenate([picture(index, 0, size), picture(index, 100, size)], axis=1)
    Image.fromarray(both).save(path)


def write(path, index=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(index, 0)).save(path)


@pytest.fixture
def root(tmp_path):
    """Pairs side by side: five for training, two in `val`."""
    for split, count in (("train", 5), ("val", 2)):
        for i in range(count):
            write_pair(tmp_path / "set" / split / f"{i}.png", i)
    return tmp_path / "set"


def batches(dataset, count):
    return [tuple(x.numpy() for x in batch) for batch in dataset.take(count)]


def pixels(batch):
    return np.rint((batch + 1) * 127.5).astype(int)


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_halves_share_crop_and_flip(root, tmp_path, cache):
    data = open_dataset(root, batch_size=2, cache=cache, cache_dir=tmp_path / "cache", **OPTIONS)
    assert data.paired and data.counts == (5, 5) and data.steps_per_epoch == 2
    for step, (images_a, images_b) in enumerate(batches(data.stream(), 12)):
        a, b = pixels(images_a), pixels(images_b)
        np.testing.assert_array_equal(a[..., :2], b[..., :2])  # the same places
        np.testing.assert_array_equal(a[..., 2] + 100, b[..., 2])  # of the same image, in the right halves
        names_a, names_b = data.names(step)
        assert names_a == names_b == [f"train/{i}.png" for i in a[:, 0, 0, 2]]


def test_halves_resume_bit_for_bit(root):
    whole, rest = (batches(open_dataset(root, batch_size=2, **OPTIONS).stream(start), 9 - start) for start in (0, 4))
    for one, two in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_a_file_of_two_halves_is_decoded_once(root, tmp_path, cache, monkeypatch):
    decoded, read_image = [], images.read_image
    monkeypatch.setattr(images, "read_image", lambda file, *args: decoded.append(file) or read_image(file, *args))
    data = open_dataset(root, cache=cache, cache_dir=tmp_path / "cache", **OPTIONS).load()
    assert len(decoded) == 5
    list(data.epoch())
    assert len(decoded) == (10 if cache == "none" else 5)


def test_halves_without_pairing(root):
    data = open_dataset(root, paired=False, batch_size=5, **OPTIONS)
    names_a, names_b = data.names(0)
    assert not data.paired and names_a != names_b and sorted(names_a) == sorted(names_b)
    images_a, images_b = next(iter(data.epoch()))
    assert pixels(images_a)[..., 2].max() < 100 <= pixels(images_b)[..., 2].min()


def test_test_split_may_be_val(root):
    data = open_dataset(root, "test", image_size=(20, 24), batch_size=2)
    assert data.counts == (2, 2) and data.names(0)[0] == ["val/0.png", "val/1.png"]
    assert "from 'val'" in data.describe() and "side by side" in data.describe() and "paired" in data.describe()
    for images_, blue in zip(data.samples(2), (0, 100), strict=True):
        np.testing.assert_array_equal(pixels(images_), [picture(i, blue) for i in range(2)])
    write_pair(root / "test" / "7.png", 7)
    data = open_dataset(root, "test", **OPTIONS)
    assert data.names(0)[0] == ["test/7.png"] and "from 'val'" not in data.describe()


def test_halves_that_are_gray_in_one_domain(root):
    images_a, images_b = next(iter(open_dataset(root, "test", image_size=16, channels=(1, 3)).epoch()))
    assert images_a.shape == (1, 16, 16, 1) and images_b.shape == (1, 16, 16, 3)


def test_odd_widths_and_broken_files(root):
    Image.fromarray(np.zeros((20, 49, 3), np.uint8)).save(root / "train" / "1.png")
    with pytest.raises(ValueError, match=r"train/1\.png is 49 pixels wide.*even width"):
        open_dataset(root, **OPTIONS)
    whole = (root / "train" / "3.png").read_bytes()
    (root / "train" / "3.png").write_bytes(whole[:-25])
    data = open_dataset(root, skip_unreadable=True, **OPTIONS).load()
    assert data.counts == (3, 3) and {name for name, _ in data.skipped} == {"train/1.png", "train/3.png"}
    for images_a, images_b in batches(data.stream(), 6):
        np.testing.assert_array_equal(pixels(images_a)[..., :2], pixels(images_b)[..., :2])


def test_images_below_a_split_are_no_pairs(root):
    for path in list((root / "train").iterdir()):
        write(root / "train" / "A" / path.name)
        path.unlink()
    with pytest.raises(ValueError, match=r"train/B: missing.*directly in .*train: no images"):
        open_dataset(root)


@pytest.mark.parametrize("layout", ["train{}", "train/{}", "train_{}"])
def test_folders_are_paired_by_name(tmp_path, layout):
    for i, name in enumerate(["2", "10", "x/1"]):
        write(tmp_path / layout.format("A") / f"{name}.png", i)
        write(tmp_path / layout.format("B") / f"{name}.{'bmp' if i else 'png'}", i)
    data = open_dataset(tmp_path, paired=True, batch_size=3, **OPTIONS)
    assert data.paired and not open_dataset(tmp_path, **OPTIONS).paired
    for images_a, images_b in batches(data.stream(), 4):
        np.testing.assert_array_equal(images_a, images_b)


def test_order_of_files_says_nothing_of_pairs(tmp_path):
    for i, name in enumerate("abc"):
        write(tmp_path / "trainA" / f"{name}.png", i)
        write(tmp_path / "trainB" / f"x{name}.png", i)
    with pytest.raises(ValueError, match=r"`paired`.*trainA/a\.png, .*trainB/xa\.png.*None of the names match: rename"):
        open_dataset(tmp_path, paired=True, **OPTIONS)
    write(tmp_path / "trainA" / "xa.png")
    with pytest.raises(
        ValueError, match=r"4 and 3 files, without a partner: trainA/a\.png, .*; trainB/xb\.png"
    ) as caught:
        open_dataset(tmp_path, paired=True, **OPTIONS)
    assert "rename" not in str(caught.value)
    assert open_dataset(tmp_path, **OPTIONS).counts == (4, 3)


def test_two_files_of_one_name(tmp_path):
    for path in ("trainA/1.png", "trainA/1.bmp", "trainB/1.png"):
        write(tmp_path / path)
    with pytest.raises(ValueError, match=r"trainA/1\.bmp and trainA/1\.png cannot be told apart"):
        open_dataset(tmp_path, paired=True, **OPTIONS)


def test_a_share_is_held_out_in_pairs(tmp_path):
    for i in range(10):
        write(tmp_path / "x" / f"{i}.png", i)
        write(tmp_path / "y" / f"{i}.bmp", i)
    options = {"data_a": tmp_path / "x", "data_b": tmp_path / "y", "test_share": 0.3, "paired": True, **OPTIONS}
    held = [open_dataset(split=split, **options) for split in ("train", "test")]
    assert [data.counts for data in held] == [(7, 7), (3, 3)]
    for data in held:
        for step in range(data.steps_per_epoch):
            names_a, names_b = data.names(step)
            assert names_a[0].removesuffix(".png") == names_b[0].removesuffix(".bmp")
    write(tmp_path / "y" / "new.png")
    with pytest.raises(ValueError, match=r"`paired`.*without a partner: new\.png"):
        open_dataset(**options)


@pytest.mark.parametrize("name", ["emoji", "cycle_gan/facades"])
def test_sources_without_pairs_say_what_has_them(name):
    with pytest.raises(ValueError, match=r"`paired` is not possible.*'emoji/lines'"):
        open_dataset(name, paired=True)


def test_sides_that_are_not_cropped_are_multiples(root):
    sizes = {mode: Sizing(mode, (64, 64), (64, 64), True, 32).target((70, 90)) for mode in ("scale_width", "none")}
    assert sizes == {"scale_width": (64, 64), "none": (64, 96)}
    data = open_dataset(root, resize_mode="none", multiple=16)
    assert data.image_size == (16, 32)  # of 20x24
    with pytest.raises(ValueError, match="`multiple` must be an integer of at least 1"):
        open_dataset(root, multiple=0)
