"""The bundled emoji: what is in the sheets, and that nothing leaks between splits."""

import importlib.resources
import json

import numpy as np
import pytest
from conftest import open_dataset

from tf_cyclegan.data import bundled, load_dataset


def groups(splits):
    return {entry["group"] for entry in bundled.read_names() if entry["split"] in splits}


def test_sheets_and_names_agree():
    names = bundled.read_names()
    assert len(names) > 1200 and len({entry["name"] for entry in names}) == len(names)
    for style in ("flat", "modern", "lines"):
        tiles = bundled.read_sheet(style)
        assert tiles.shape == (len(names), 64, 64, 3) and tiles.dtype == np.uint8
        assert (tiles[:, 0].mean() > 240) and tiles.std((1, 2, 3)).min() > 0  # white border, none empty


def test_styles_show_the_same_emoji():
    flat, lines = (bundled.read_sheet(style).min(axis=-1) < 160 for style in ("flat", "lines"))
    overlap = (flat & lines).sum((1, 2)) / np.maximum(lines.sum((1, 2)), 1)
    shifted = (flat & np.roll(lines, 7, axis=0)).sum((1, 2)) / np.maximum(lines.sum((1, 2)), 1)
    assert overlap.mean() > shifted.mean() + 0.1


def test_groups_stay_in_one_split():
    a, b, test = groups({"train_a"}), groups({"train_b"}), groups({"test"})
    assert a and b and test and not a & b and not a & test and not b & test


def test_test_emoji_are_far_from_training_emoji():
    tiles = bundled.read_sheet("flat").reshape(-1, 16, 4, 16, 4, 3).mean((2, 4)).reshape(-1, 768) / 255
    is_test = np.array([entry["split"] == "test" for entry in bundled.read_names()])
    nearest = min(np.abs(tiles[~is_test] - tile).mean(axis=1).min() for tile in tiles[is_test])
    assert nearest > 0.079


def test_unpaired_training_and_aligned_test():
    train, test = open_dataset("emoji"), open_dataset("emoji", split="test", batch_size=7)
    assert not train.paired and abs(train.counts[0] - train.counts[1]) < 20 and train.counts[0] > 500
    names_a, names_b = (set(domain.images.names) for domain in train._domains)
    assert not names_a & names_b
    assert test.counts[0] == test.counts[1] == 100 and test.steps_per_epoch == 15
    for step in (0, 14):
        assert test.names(step)[0] == test.names(step)[1]
    images_a, images_b = next(iter(test.epoch()))
    assert images_a.shape == (7, 64, 64, 3) and not np.array_equal(images_a, images_b)
    index = [entry["name"] for entry in bundled.read_names()].index(test.names(0)[0][2])
    np.testing.assert_allclose((images_a[2].numpy() + 1) * 127.5, bundled.read_sheet("flat")[index], atol=1e-3)
    np.testing.assert_allclose((images_b[2].numpy() + 1) * 127.5, bundled.read_sheet("modern")[index], atol=1e-3)


def test_lines_are_paired():
    train = open_dataset("emoji/lines", batch_size=3)
    assert train.paired and train.counts[0] == train.counts[1] > 1100
    assert all(a == b for a, b in (train.names(step) for step in (0, 5)))
    images_a, images_b = next(iter(train.epoch()))
    index = [entry["name"] for entry in bundled.read_names()].index(train.names(0)[0][0])
    lines, flat = (bundled.read_sheet(style)[index] / 127.5 - 1 for style in ("lines", "flat"))
    flipped = not np.allclose(images_a[0], lines, atol=1e-5)
    turn = slice(None, None, -1 if flipped else 1)
    np.testing.assert_allclose(images_a[0], lines[:, turn], atol=1e-5)
    np.testing.assert_allclose(images_b[0], flat[:, turn], atol=1e-5)


def test_sizes():
    assert open_dataset().image_size == (64, 64)
    images_a, _ = next(iter(load_dataset(image_size=32, channels=(1, 3))))
    assert images_a.shape == (1, 32, 32, 1)
    data = open_dataset(image_size=32, load_size=36)
    assert data.cache_bytes == sum(data.counts) * 36 * 36 * 3
    assert "583 images in A, 582 in B" in data.describe() and "5 MB of memory" in data.describe()


def test_samples_are_spread_over_the_split():
    images_a, images_b = open_dataset(split="test").samples(4)
    assert images_a.shape == images_b.shape == (4, 64, 64, 3) and images_a.dtype == np.float32
    expected, _ = open_dataset(split="test", batch_size=100).samples(100)
    np.testing.assert_array_equal(images_a, expected[::25])
    assert expected.min() >= -1 and expected.max() <= 1


def test_license_is_beside_the_sheets():
    folder = importlib.resources.files("tf_cyclegan.data") / "emoji"
    assert "Microsoft Corporation" in (folder / "LICENSE").read_text()
    assert "SPDX-License-Identifier: MIT" in (folder / "README.md").read_text()
    assert json.loads((folder / "names.json").read_text())


def test_unpaired_by_design():
    with pytest.raises(ValueError, match="`paired`"):
        open_dataset("emoji", paired=True)
