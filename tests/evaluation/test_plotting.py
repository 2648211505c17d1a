"""Figures for notebooks, drawn without a screen."""

import os
import subprocess
import sys

import keras
import matplotlib
import numpy as np
import pytest
from conftest import SMALL, random_images

from tf_cyclegan import CycleGAN, plot_history, show
from tf_cyclegan.data.images import to_uint8

CURVES = {"loss": [2.0, 1.0], "cycle_a": [1.0, 0.5], "cycle_b": [1.5, 0.7], "cycle_loss": [1, 2]}


@pytest.fixture(autouse=True)
def without_a_screen():
    matplotlib.use("Agg")


def lines(figure):
    return {axes.get_title(): [line.get_label() for line in axes.lines] for axes in figure.axes}


def test_curves_of_a_kind_stand_together(tmp_path):
    figure = plot_history(CURVES)
    assert {title: len(names) for title, names in lines(figure).items()} == {"loss": 1, "cycle": 2, "cycle loss": 1}
    cycle = figure.axes[1]
    assert [text.get_text() for text in cycle.get_legend().get_texts()] == ["cycle_a", "cycle_b"]
    assert cycle.lines[1].get_xydata().tolist() == [[1, 1.5], [2, 0.7]]
    figure.savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000
    assert matplotlib.pyplot.get_fignums() == []  # no figure stays open


@pytest.mark.eager
def test_what_fit_returns_is_drawn():
    model = CycleGAN(**SMALL, residual_blocks=1)
    model.compile()
    data = random_images(1, 32), random_images(1, 32, seed=1)
    figure = plot_history(model.fit(*data, batch_size=1, epochs=4, initial_epoch=3, verbose=0))
    assert ["cycle_a", "cycle_b"] in lines(figure).values()
    assert all(line.get_xdata().tolist() == [4] for axes in figure.axes for line in axes.lines)


@pytest.mark.parametrize("history", [{}, {"loss": []}, [1.0], None, keras.callbacks.History()])
def test_what_has_no_curves_is_named(history):
    with pytest.raises(ValueError, match="`history` must be what `fit` returns") as error:
        plot_history(history)
    assert "\n" not in str(error.value)


def shown(images):
    """The pixels that a figure shows."""
    (axes,) = show(images).axes
    return np.asarray(axes.images[0].get_array())


def test_images_are_shown_as_they_are():
    images = random_images(2, 8)
    levels = np.asarray(to_uint8(images))
    for given in (images, levels, keras.ops.convert_to_tensor(images), keras.ops.cast(levels, "uint8")):
        grid = shown(given)
        np.testing.assert_array_equal(grid[:, :8], levels[0])
        np.testing.assert_array_equal(grid[:, -8:], levels[1])
    assert shown(keras.ops.cast(images, "bfloat16")).shape == (8, 18, 3)
    assert shown(images[0, ..., :1]).shape == (8, 8)


def test_each_batch_of_a_list_gets_a_row_and_a_large_one_several():
    images = random_images(20, 8)
    assert shown([images[:3], images[:2]]).shape == (18, 28, 3)
    assert shown(images).shape == (28, 78, 3)


@pytest.mark.parametrize(
    "images, words",
    [
        (np.zeros((4, 4)), r"shape=\(4, 4\)"),
        (np.zeros((1, 4, 4, 2)), r"shape=\(1, 4, 4, 2\)"),
        (np.zeros((1, 4, 4, 3), int), "dtype=int64"),
        ([], "at least one image"),
        (np.zeros((0, 4, 4, 3)), "at least one image"),
    ],
)
def test_what_is_no_image_is_named(images, words):
    with pytest.raises(ValueError, match=f"`images`.*{words}"):
        show(images)


COMMAND = (
    "from tf_cyclegan.cli import main\nassert not main(['train', '--dry-run', '--image-size=32'])\n"
    "import tf_cyclegan.training.training, tf_cyclegan.evaluation.evaluate\n"
    "import tf_cyclegan.inference, tf_cyclegan.weights.convert"
)


# Keras imports matplotlib itself, for who imports Keras.
@pytest.mark.parametrize("code", ["from tf_cyclegan import plot_history, show", COMMAND])
def test_matplotlib_waits_until_something_is_drawn(code):
    code += "\nimport sys; assert not [name for name in sys.modules if name.startswith('matplotlib')]"
    code += "\nfrom tf_cyclegan import plot_history; plot_history({'loss': [1]})"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"MPLBACKEND": "Agg"})
