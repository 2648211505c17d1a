"""Label maps as domain A: files of ids, with instances, as they come to the batch, and what is said of wrong ones."""

import numpy as np
import pytest
from conftest import gray_png, open_dataset
from PIL import Image

from tf_cyclegan.data import labels

OPTIONS = {"image_size": 16, "load_size": (20, 24), "label_classes": 8}


def save(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if mode == "P":
        image.putpalette([(7 * i) % 256 for i in range(768)])
    image.save(path)


def labels_of(index, size=(20, 24)):
    y, x = np.mgrid[: size[0], : size[1]]
    return ((y // 5 + x // 6 + index) % 8).astype(np.uint8)


def write_scene(root, split, index, name="{index}.png", size=(20, 24)):
    """A label map, the photograph whose red channel is 30 times the label, and the numbers of its objects."""
    labels = labels_of(index, size)
    save(root / f"{split}_label" / name.format(index=index), labels, "P" if index % 2 else None)
    photo = np.stack([labels * 30, labels * 0, labels * 0 + index], axis=-1).astype(np.uint8)
    save(root / f"{split}_img" / name.format(index=index), photo)
    save(root / f"{split}_inst" / name.format(index=index), labels.astype(np.uint16) * 1000 + index)


@pytest.fixture
def root(tmp_path):
    for split, count in (("train", 5), ("test", 3)):
        for i in range(count):
            write_scene(tmp_path / "set", split, i)
    return tmp_path / "set"


def ids(batch):
    """The numbers in a batch; whole ones must come back exactly."""
    return np.rint((np.asarray(batch, np.float32) + np.float32(1)) * np.float32(127.5)).astype(int)


def batches(dataset, count):
    return [tuple(x.numpy() for x in batch) for batch in dataset.take(count)]


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
@pytest.mark.parametrize("instances", [False, True])
def test_labels_stay_with_their_pixels(root, tmp_path, cache, instances):
    options = {"instance_maps": instances, "cache": cache, "cache_dir": tmp_path / "cache", "batch_size": 2}
    for _ in range(2):  # the second time from the cache on disk
        data = open_dataset(root, **options, **OPTIONS)
        assert data.paired and data.channels == (1 + instances, 3) and data.counts == (5, 5)
        for label_maps, photos in batches(data.stream(), 6):
            assert label_maps.shape == (2, 16, 16, 1 + instances) and photos.shape == (2, 16, 16, 3)
            found, photos = ids(label_maps), ids(photos)
            np.testing.assert_array_equal(found[..., 0] * 30, photos[..., 0])
            if instances:
                np.testing.assert_array_equal(found[..., 1], found[..., 0] * 1000 + photos[..., 2])


def test_resizing_takes_the_nearest_pixel(root):
    data = open_dataset(root, "test", image_size=(37, 11), label_classes=8)
    labels, _ = data.samples(3)
    pil = [Image.fromarray(labels_of(i)).resize((11, 37), Image.Resampling.NEAREST) for i in range(3)]
    np.testing.assert_array_equal(ids(labels)[..., 0], [np.asarray(image) for image in pil])
    augmented = open_dataset(root, image_size=16, load_size=43, label_classes=8)
    for labels, photos in batches(augmented.stream(), 8):  # the photograph is interpolated: near enough, mostly
        assert set(np.unique(ids(labels))) <= set(range(8))
        assert (np.abs(ids(labels)[..., 0] * 30 - ids(photos)[..., 0]) < 15).mean() > 0.6


def test_names_of_cityscapes(tmp_path):
    for i in range(3):
        write_scene(tmp_path, "train", i, "ulm/ulm_{index}.png")
        for kind, ending in (("label", "gtFine_labelIds"), ("inst", "gtFine_instanceIds"), ("img", "leftImg8bit")):
            path = tmp_path / f"train_{kind}" / "ulm" / f"ulm_{i}.png"
            path.rename(path.with_name(f"ulm_{i}_{ending}.png"))
    data = open_dataset(tmp_path, instance_maps=True, **OPTIONS)
    names_a, names_b = data.names(0)
    assert names_a[0].replace("_label/", "_img/").replace("gtFine_labelIds", "leftImg8bit") == names_b[0]
    assert "A has labels of 8 classes and instances" in data.describe()


def test_other_layouts_hold_label_maps_as_well(root, tmp_path):
    for domain, kind in (("A", "label"), ("B", "img")):
        (root / f"train_{kind}").rename(root / f"train{domain}")
    data = open_dataset(root, **OPTIONS)
    assert data.channels == (1, 3) and not data.paired
    assert open_dataset(root, paired=True, **OPTIONS).paired
    held = open_dataset(data_a=root / "trainA", data_b=root / "trainB", paired=True, test_share=0.2, **OPTIONS)
    labels, photos = next(iter(held.epoch()))
    np.testing.assert_array_equal(ids(labels)[..., 0] * 30, ids(photos)[..., 0])
    with pytest.raises(ValueError, match="`instance_maps` needs folders train_label, train_inst"):
        open_dataset(root, instance_maps=True, **OPTIONS)


def test_labels_may_be_unpaired_and_in_val(root):
    for kind in ("label", "img", "inst"):
        (root / f"test_{kind}").rename(root / f"val_{kind}")
    data = open_dataset(root, "test", paired=False, **OPTIONS)
    assert not data.paired and data.names(0)[0] == ["val_label/0.png"] and "from 'val'" in data.describe()


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_ids_out_of_range_are_found_before_training(root, tmp_path, cache):
    labels = labels_of(2)
    labels[0, :12] = 255
    labels[1, 0] = 9
    save(root / "train_label" / "2.png", labels)
    options = {"cache": cache, "cache_dir": tmp_path / "cache", **OPTIONS}
    for _ in range(2):  # nothing of it stays in the cache
        with pytest.raises(ValueError) as caught:
            open_dataset(root, **options).load()
        lines = str(caught.value).split("\n")
        assert "`label_classes`=8" in lines[0] and "9 in train_label/2.png" in lines[0]
        assert any("255: 0.50%, first in train_label/2.png" in line for line in lines)
        assert "  0: 8.75% " in lines[2] and "  7: 12.50%" in lines[2]  # the share of every id
        assert lines[-1].startswith("Make `label_classes` 256")
    open_dataset(root, **(options | {"label_classes": 256})).load()
    with pytest.raises(ValueError, match="`label_classes`=8"):
        open_dataset(root, **options).load()


def test_table_of_very_many_ids_is_cut(root):
    save(root / "train_label" / "1.png", (np.arange(480).reshape(20, 24) * 130).astype(np.uint16))
    with pytest.raises(ValueError) as caught:
        open_dataset(root, **OPTIONS).load()
    assert len(str(caught.value)) < 8000 and "and 459 more, to 62270" in str(caught.value)


@pytest.mark.parametrize(
    "path, array, message",
    [
        ("train_label/1.png", np.zeros((20, 24, 3), np.uint8), r"label map train_label/1\.png: colors \(mode RGB\)"),
        ("train_inst/1.png", np.zeros((20, 24, 4), np.uint8), r"label map train_inst/1\.png: colors \(mode RGBA\)"),
        ("train_inst/1.png", np.zeros((10, 24), np.uint8), r"train_inst/1\.png must be as large as train_label/1\.png"),
        ("train_label/1.png", None, r"without a partner: train_img/1\.png"),
        ("train_inst/1.png", None, r"train_inst.*without a partner: train_label/1\.png"),
        ("train_img/1.png", None, r"train_img.*without a partner: train_label/1\.png"),
        ("train_inst/1.png", b"text", r"label map train_inst/1\.png: not an image.*`skip_unreadable`"),
    ],
)
def test_files_that_do_not_fit(root, path, array, message):
    (root / path).unlink()
    if isinstance(array, bytes):
        (root / path).write_bytes(array)
    elif array is not None:
        save(root / path, array)
    with pytest.raises(ValueError, match=message):
        open_dataset(root, instance_maps=True, **OPTIONS)


def test_the_digest_covers_the_instance_maps(root):
    def digest():
        return open_dataset(root, **OPTIONS, instance_maps=True, cache="none").digest()

    before = digest()
    (changed, *_) = sorted((root / "train_inst").iterdir())
    with Image.open(changed) as image:
        save(changed, np.asarray(image) + 1)
    assert digest() != before


def test_skipped_with_their_partners(root):
    path = root / "train_inst" / "1.png"
    path.write_bytes(path.read_bytes()[:-25])
    save(root / "train_label" / "3.png", np.zeros((20, 24, 3), np.uint8))
    data = open_dataset(root, instance_maps=True, skip_unreadable=True, **OPTIONS).load()
    assert data.counts == (3, 3) and [name for name, _ in data.skipped] == ["train_label/1.png", "train_label/3.png"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"label_classes": 0}, "`label_classes` is needed for .*train_label"),
        ({"label_classes": -1}, "`label_classes` must be an integer of at least 0"),
        ({"label_classes": 0, "instance_maps": True}, "`instance_maps` needs `label_classes`"),
        ({"channels": (3, 3)}, "`channels` of A must be 1 with `label_classes`=8"),
        ({"channels": (1, 3), "instance_maps": True}, "`channels` of A must be 2"),
        ({"name": "emoji"}, "`label_classes` is not possible with 'emoji'"),
    ],
)
def test_wrong_arguments(root, options, message):
    with pytest.raises(ValueError, match=message):
        open_dataset(**({"name": root, **OPTIONS} | options))


def test_labels_cannot_lie_beside_their_photographs(tmp_path):
    save(tmp_path / "train" / "1.png", np.zeros((20, 48, 3), np.uint8))
    with pytest.raises(ValueError, match="`label_classes` is not possible.*side by side"):
        open_dataset(tmp_path, **OPTIONS)


@pytest.mark.parametrize("mode, dtype", [("L", "uint8"), ("P", "uint8"), ("1", "uint8"), ("I;16", "float32")])
def test_ids_of_every_mode(tmp_path, mode, dtype):
    expected = np.array([[0, 1, 1], [1, 0, 0]]) * {"1": 1, "I;16": 33017}.get(mode, 200)
    if mode == "1":
        Image.fromarray(expected.astype(bool)).save(tmp_path / "x.png")
    else:
        save(tmp_path / "x.png", expected.astype(np.uint16 if mode == "I;16" else np.uint8), mode)
    found = labels.read_ids(tmp_path / "x.png")
    np.testing.assert_array_equal(found[..., 0], expected)
    assert found.shape == (2, 3, 1) and found.dtype == dtype
    assert labels.read_ids_header((tmp_path / "x.png").read_bytes()) == (2, 3, dtype)


def test_ids_of_arrays(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[0, 26005]]))
    assert labels.read_ids(tmp_path / "x.npy").ravel().tolist() == [0, 26005]
    assert labels.read_ids_header(tmp_path / "x.npy") == (1, 2, "float32")
    for array, message in (([[-1, 0]], "ids from -1"), ([[2**21]], "ids from 2097152"), ([[0.5]], "whole numbers")):
        np.save(tmp_path / "x.npy", np.array(array))
        with pytest.raises(ValueError, match=message):
            labels.read_ids(tmp_path / "x.npy")


def test_lossy_label_maps_are_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "x.jpg")
    for read in (labels.read_ids, labels.read_ids_header):
        with pytest.raises(ValueError, match=r"label map .*x\.jpg: JPEG changes values"):
            read(tmp_path / "x.jpg")


def test_an_ignored_id_is_no_class_and_no_mistake(root):
    labels = labels_of(2)
    labels[0, :12] = 255
    save(root / "train_label" / "2.png", labels)
    with pytest.raises(ValueError, match="`ignore_label` 255"):
        open_dataset(root, **OPTIONS).load()
    open_dataset(root, ignore_label=255, **OPTIONS).load()
    labels[1, 0] = 9
    save(root / "train_label" / "2.png", labels)
    with pytest.raises(ValueError, match="1 other ids, such as 9"):
        open_dataset(root, ignore_label=255, **OPTIONS).load()
    with pytest.raises(ValueError, match="`ignore_label` must be an integer of at least 8"):
        open_dataset(root, ignore_label=7, **OPTIONS)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_ids_of_few_bits_are_the_numbers_in_the_file(depth):
    """PIL shows them as levels of gray: 3 of 2 bits as 255."""
    rows = np.arange(24).reshape(3, 8) % min(2**depth, 16)
    np.testing.assert_array_equal(labels.read_ids(gray_png(rows, depth))[..., 0], rows)


@pytest.mark.parametrize("white, kind", [(34, np.uint8), (255, np.uint8), (4095, ">u2"), (65535, ">u2")])
def test_ids_of_pgm_are_the_numbers_in_the_file(white, kind):
    rows = np.arange(24).reshape(3, 8)
    rows[0, 0] = white
    data = b"P5 8 3 %d\n" % white + rows.astype(kind).tobytes()
    np.testing.assert_array_equal(labels.read_ids(data)[..., 0], rows)
