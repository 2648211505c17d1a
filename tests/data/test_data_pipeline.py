"""Order, crops and flips: the same for the same seed, whatever the start, and different in every epoch."""

import gc
import itertools
import shutil

import numpy as np
import pytest
from conftest import open_dataset
from PIL import Image

from tf_cyclegan.data import load_dataset
from tf_cyclegan.data.domains import SAMPLED, digest_of
from tf_cyclegan.data.transforms import Sizing, as_size


def picture(index, size=(20, 24)):
    """An image in which every pixel says where it is, and every corner which image it is."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([y * 8, x * 8, np.full(size, index)], axis=-1).astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    for folder, count in (("trainA", 7), ("trainB", 4), ("testA", 2), ("testB", 2)):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(picture(i)).save(tmp_path / "set" / folder / f"{i}.png")
    return tmp_path / "set"


def arrays(dataset, count=None):
    return [tuple(x.numpy() for x in batch) for batch in itertools.islice(dataset, count)]


def assert_same(first, second):
    assert len(first) == len(second) > 0
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])


def differ(first, second):
    pairs = zip(itertools.chain(*first), itertools.chain(*second), strict=True)
    return any(not np.array_equal(a, b) for a, b in pairs)


OPTIONS = {"image_size": 16, "load_size": (20, 24)}


def test_batches(root):
    dataset = load_dataset(root, batch_size=2, **OPTIONS)
    assert int(dataset.cardinality()) == 3
    for spec in dataset.element_spec:
        assert spec.shape == (2, 16, 16, 3) and spec.dtype == "float32"
    batches = arrays(dataset)
    assert len(batches) == 3
    for images in batches[0]:
        assert images.dtype == np.float32 and -1 <= images.min() and images.max() <= 1


def test_same_seed_same_batches(root):
    first, second, other = (arrays(load_dataset(root, seed=seed, **OPTIONS)) for seed in (5, 5, 6))
    assert_same(first, second)
    assert differ(first, other)
    for seed in (-1, 2**40):
        arrays(load_dataset(root, seed=seed, **OPTIONS), 1)


def test_stream_resumes_bit_for_bit(root):
    data = open_dataset(root, batch_size=2, **OPTIONS)
    whole = arrays(data.stream(), 12)
    assert int(data.stream().cardinality()) == -1  # infinite
    for start in (1, 5):
        assert_same(arrays(open_dataset(root, batch_size=2, **OPTIONS).stream(start), 12 - start), whole[start:])
    with pytest.raises(ValueError, match="`start_step`"):
        data.stream(-1)


def test_epochs_are_those_of_the_stream(root):
    data = open_dataset(root, batch_size=2, **OPTIONS)
    stream, dataset = arrays(data.stream(), 9), data.epoch()
    assert_same(arrays(dataset) + arrays(dataset) + arrays(dataset), stream)
    assert_same(arrays(data.epoch().repeat(), 9), stream)
    assert differ(stream[:3], stream[3:6])
    later = load_dataset(root, batch_size=2, start_epoch=2, **OPTIONS)
    del data
    gc.collect()  # the data set must hold all it needs
    assert_same(arrays(later), stream[6:9])


def test_every_image_once_an_epoch(root):
    data = open_dataset(root, **OPTIONS)
    assert data.steps_per_epoch == 7
    epochs = [[data.names(step) for step in range(7 * e, 7 * e + 7)] for e in range(3)]
    for epoch in epochs:
        assert sorted(a[0] for a, _ in epoch) == [f"trainA/{i}.png" for i in range(7)]
        # B has 4: a whole pass in one order, then the beginning of another.
        assert len({b[0] for _, b in epoch[:4]}) == 4 and len({b[0] for _, b in epoch[4:]}) == 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_names_say_what_is_in_the_batch(root):
    data = open_dataset(root, batch_size=3, **OPTIONS)
    for step, batch in enumerate(arrays(data.stream(), 5)):
        for images, names in zip(batch, data.names(step), strict=True):
            shown = np.rint((images[:, 0, 0, 2] + 1) * 127.5).astype(int)
            assert [f"{i}.png" for i in shown] == [name.partition("/")[2] for name in names]


def places(images):
    """`(top, left, flipped)` of each crop, read off the pixels."""
    values = np.rint((images + 1) * 127.5).astype(int)
    flipped = values[:, 0, 0, 1] > values[:, 0, -1, 1]
    left = np.minimum(values[:, 0, 0, 1], values[:, 0, -1, 1]) // 8
    return list(zip((values[:, 0, 0, 0] // 8).tolist(), left.tolist(), flipped.tolist(), strict=True))


def test_crops_and_flips_are_uniform_and_independent(root):
    data = open_dataset(root, **OPTIONS)
    batches = arrays(data.stream(), 400)
    found_a, found_b = ([places(batch[i])[0] for batch in batches] for i in (0, 1))
    for axis, choices in ((0, 5), (1, 9), (2, 2)):
        counts = np.bincount([place[axis] for place in found_a], minlength=choices)
        assert len(counts) == choices and counts.min() > 0.4 * 400 / choices
    assert sum(a == b for a, b in zip(found_a, found_b, strict=True)) < 40
    assert not any(place[2] for place in (places(b[0])[0] for b in arrays(load_dataset(root, flip=False, **OPTIONS))))


def test_pairs_share_order_crop_and_flip(root):
    for i in range(4, 7):
        Image.fromarray(picture(i)).save(root / "trainB" / f"{i}.png")
    data = open_dataset(root, paired=True, batch_size=2, **OPTIONS)
    for images_a, images_b in arrays(data.stream(), 10):
        np.testing.assert_array_equal(images_a, images_b)
    Image.fromarray(picture(0, (30, 30))).save(root / "trainB" / "0.png")
    with pytest.raises(ValueError, match="`paired` images must be of one size"):
        open_dataset(root, paired=True, image_size=16, resize_mode="crop")


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_caches_are_equal(root, tmp_path, cache):
    expected = arrays(load_dataset(root, **OPTIONS))
    data = open_dataset(root, cache=cache, cache_dir=tmp_path / "cache", **OPTIONS)
    assert not (tmp_path / "cache").exists()  # opening takes nothing
    assert data.cache_bytes == (0 if cache == "none" else 11 * 20 * 24 * 3)
    assert_same(arrays(data.epoch()), expected)


def test_disk_cache_is_used_again_until_the_files_change(root, tmp_path, monkeypatch):
    options = {"cache": "disk", "cache_dir": tmp_path / "cache", **OPTIONS}
    expected = arrays(load_dataset(root, **options))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert len(files) == 4

    from tf_cyclegan.data.sources import Images

    with monkeypatch.context() as patched:
        patched.setattr(Images, "read", None)  # decoding would fail
        assert_same(arrays(load_dataset(root, **options)), expected)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == files
    binary = next(path for path in files if path.suffix == ".bin")
    binary.write_bytes(binary.read_bytes()[:-1])  # not whole: made again
    assert_same(arrays(load_dataset(root, **options)), expected)
    Image.fromarray(picture(99)).save(root / "trainA" / "3.png")
    assert differ(arrays(load_dataset(root, **options)), expected)


def test_default_sizes(root):
    data = open_dataset(root)
    assert data.image_size == (256, 256) and data.cache_bytes == 11 * 286 * 286 * 3
    assert open_dataset(root, image_size=(32, 64)).cache_bytes == 11 * 36 * 72 * 3
    assert open_dataset(root, "test", image_size=32).cache_bytes == 4 * 32 * 32 * 3


def test_sizing_by_mode():
    sizes = {
        mode: [Sizing(mode, (16, 16), (20, 20), augment).target((40, 30)) for augment in (True, False)]
        for mode in ("resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none")
    }
    assert sizes == {
        "resize_and_crop": [(20, 20), (16, 16)],
        "crop": [(40, 30)] * 2,
        "scale_width": [(28, 20)] * 2,  # 26.7, rounded to a multiple of 4
        "scale_width_and_crop": [(27, 20)] * 2,
        "none": [(40, 32)] * 2,
    }
    assert Sizing("scale_width_and_crop", (16, 16), (20, 20)).target((10, 40)) == (16, 20)
    assert as_size([3, 4], "x") == (3, 4)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("mode", ["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"])
def test_resize_modes(root, split, mode):
    Image.fromarray(picture(1, (40, 30))).save(root / f"{split}A" / "1.png")
    options = {"image_size": 16, "resize_mode": mode, "split": split}
    varies = mode in ("scale_width", "none")
    if varies:
        with pytest.raises(ValueError, match="`batch_size` must be 1"):
            open_dataset(root, batch_size=2, **options)
    data = open_dataset(root, batch_size=1 if varies else 2, **options)
    assert data.image_size == ((None, None) if varies else (16, 16))
    dataset = data.epoch()
    assert dataset.element_spec[0].shape[1:] == (*data.image_size, 3)
    shapes = {images.shape[1:] for images, _ in arrays(dataset)}
    expected = {"none": {(20, 24, 3), (40, 32, 3)}, "scale_width": {(12, 16, 3), (20, 16, 3)}}
    assert shapes == expected.get(mode, {(16, 16, 3)})
    samples = data.samples(2)
    assert samples[0].ndim == samples[1].ndim == 4 and len(samples[0]) == 2


def test_crop_of_too_small_an_image(root):
    with pytest.raises(ValueError, match=r"trainA/0.png of 20x24 .*`image_size`"):
        open_dataset(root, image_size=22, resize_mode="crop")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"split": "val"}, "`split` must be one of train, test"),
        ({"cache": "gpu"}, "`cache` must be one of"),
        ({"resize_mode": "zoom"}, "`resize_mode` must be one of"),
        ({"batch_size": 0}, "`batch_size` must be an integer of at least 1"),
        ({"batch_size": 8}, "`batch_size` must be at most .* 7"),
        ({"image_size": 0}, "`image_size` must be a positive"),
        ({"image_size": (4, 4, 4)}, "`image_size` must be a positive"),
        ({"load_size": 255}, "`load_size` must not be smaller"),
        ({"load_size": 300, "resize_mode": "crop"}, "`load_size` has no use"),
        ({"channels": 0}, "`channels` must be"),
        ({"seed": "x"}, "`seed` must be an integer"),
        ({"start_epoch": -1}, "`start_epoch` must be"),
    ],
)
def test_wrong_arguments_are_named(root, options, message):
    with pytest.raises(ValueError, match=message):
        open_dataset(root, **options)


def test_a_digest_is_of_what_the_images_are_not_of_where_they_lie(root, tmp_path):
    def digest(folder, **options):
        return open_dataset(folder, **{**OPTIONS, "cache": "none", **options}).digest()

    copy = shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    found = digest(root)
    assert digest(copy) == digest(copy, cache="memory", seed=3) == found
    assert digest(root, split="test") != found
    Image.fromarray(picture(9)).save(copy / "trainA" / "3.png")
    assert digest(copy) != found
    shutil.copyfile(root / "trainA" / "3.png", copy / "trainA" / "3.png")
    assert digest(copy) == found
    (copy / "trainB" / "3.png").rename(copy / "trainB" / "0a.png")  # another order
    assert digest(copy) != found
    assert digest("emoji", image_size=64, load_size=64) != digest("emoji/lines", image_size=64, load_size=64)


def test_a_digest_reads_of_large_files_the_beginning_the_middle_and_the_end(tmp_path):
    data = bytearray(10 * SAMPLED)
    found = set()
    for place in (None, 0, len(data) // 2, len(data) - 1):
        (tmp_path / "file").write_bytes(bytes(data) if place is None else data[:place] + b"1" + data[place + 1 :])
        found.add(digest_of(tmp_path / "file"))
    assert len(found) == 4
