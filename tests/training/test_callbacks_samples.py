"""Sample pictures: what stands where, sizes, and when they are written."""

import keras
import numpy as np
import pytest
from callbacks_fake import FakeModel, batches, images
from PIL import Image

from tf_cyclegan.data.images import to_uint8
from tf_cyclegan.training.callbacks import SampleGrid


def grid(model, *args, **kwargs):
    callback = SampleGrid(*args, **kwargs)
    callback.set_model(model)
    return callback


def shifted_model(shift=0.5):
    model = FakeModel()
    model.shift.assign(shift)
    return model


def test_columns_are_image_translation_and_reconstruction_of_both_domains(tmp_path):
    a, b = np.full((2, 96, 96, 3), -0.5, "float32"), np.full((2, 96, 96, 3), 0.25, "float32")
    picture = np.asarray(Image.open(grid(shifted_model(), a, b, tmp_path).write("now")))
    tile, line = 96, 2
    middles = [tile // 2 + (tile + line) * column for column in range(3)]
    right = picture.shape[1] - (3 * tile + 2 * line)
    columns = middles + [right + middle for middle in middles]
    assert picture.shape[0] == 2 * tile + line
    for row in (0, 1):
        shown = picture[tile // 2 + row * (tile + line), columns, 0]
        np.testing.assert_array_equal(shown, to_uint8([-0.5, 0.0, -0.5, 0.25, -0.25, 0.25]))
    assert (picture[:, 3 * tile + 2 * line : right] == 255).all() and right > 3 * tile + 2 * line + 4


def test_small_images_are_enlarged_by_whole_numbers(tmp_path):
    a = images(1, 32)
    picture = grid(shifted_model(0), a, images(1, 32), tmp_path).picture()
    np.testing.assert_array_equal(picture[:96, :96], to_uint8(a[0]).repeat(3, 0).repeat(3, 1))


def test_gray_and_color_domains_share_a_picture(tmp_path):
    gray = images(1, 96, channels=1)
    picture = grid(shifted_model(0), gray, images(1, 96), tmp_path).picture()
    np.testing.assert_array_equal(picture[:96, :96], to_uint8(gray[0]).repeat(3, 2))


def test_domains_of_two_sizes_share_a_picture(tmp_path):
    b = images(1, 120)
    picture = grid(shifted_model(0), images(1, 96), b, tmp_path).picture()
    np.testing.assert_array_equal(picture[:, -120:], to_uint8(b[0]))


@pytest.mark.parametrize("with_b, paired", [(False, True), (True, True), (True, False)])
def test_one_direction_shows_the_target_of_pairs_if_there_is_one(tmp_path, with_b, paired):
    model = shifted_model(0)
    model.directions, model.paired = ("ab",), paired
    b = images(1, 96, seed=1)
    picture = grid(model, images(1, 96), b if with_b else None, tmp_path).picture()
    assert picture.shape[1] == (3 * 96 + 4 if with_b and paired else 2 * 96 + 2)
    if with_b and paired:
        np.testing.assert_array_equal(picture[:, -96:], to_uint8(b[0]))


def test_the_other_direction_translates_b_and_shows_a_as_the_answer(tmp_path):
    model = shifted_model(0.5)
    model.directions, model.paired = ("ba",), True
    a, b = np.full((1, 96, 96, 3), -0.5, "float32"), np.full((1, 96, 96, 3), 0.25, "float32")
    picture = grid(model, a, b, tmp_path).picture()
    np.testing.assert_array_equal(picture[48, [48, 146, 244], 0], to_uint8([0.25, -0.25, -0.5]))
    with pytest.raises(ValueError, match="`images_b`"):
        grid(model, a, None, tmp_path).picture()


def test_what_is_shown_is_what_the_model_displays(tmp_path):
    model = shifted_model(0)
    model.displayed = lambda samples, domain: -samples if domain == "a" else samples
    a, b = images(1, 96), images(1, 96, seed=1)
    picture = grid(model, a, b, tmp_path).picture()
    np.testing.assert_array_equal(picture[:, :96], to_uint8(-a[0]))
    np.testing.assert_array_equal(picture[:, -96:], to_uint8(b[0]))


def test_one_image_at_a_time_is_translated(tmp_path):
    model, sizes = shifted_model(), []
    translate = model.translate
    model.translate = lambda x, direction: sizes.append(len(x)) or translate(x, direction)
    grid(model, images(3), images(3), tmp_path).picture()
    assert sizes == [1] * 12


def test_fit_writes_a_file_each_epoch_and_tensorboard_images(tmp_path):
    samples = SampleGrid(images(1), images(1), tmp_path / "new" / "samples", log_dir=tmp_path / "logs")
    FakeModel().fit(batches(), epochs=2, verbose=0, callbacks=[samples])
    assert sorted(p.name for p in (tmp_path / "new" / "samples").iterdir()) == ["epoch_0001.png", "epoch_0002.png"]
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_bytes().count(b"samples") >= 2 and b"\x89PNG" in log.read_bytes()


def test_frequency_counts_epochs_also_of_a_resumed_run(tmp_path):
    samples = SampleGrid(images(1), images(1), tmp_path, frequency=2)
    FakeModel().fit(batches(), initial_epoch=3, epochs=6, verbose=0, callbacks=[samples])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch_0004.png", "epoch_0006.png"]


def test_an_epoch_cut_short_writes_nothing(tmp_path):
    stop = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: setattr(model, "stop_training", True))
    model = FakeModel()
    model.fit(batches(), verbose=0, callbacks=[stop, SampleGrid(images(1), images(1), tmp_path)])
    assert not list(tmp_path.iterdir())


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="`images_b`.*1 and 2"):
        SampleGrid(images(2), images(1), tmp_path)
    with pytest.raises(ValueError, match=r"`images_a`.*\(8, 8, 3\)"):
        SampleGrid(images(1)[0], images(1), tmp_path)
    with pytest.raises(ValueError, match="`frequency`.*frequency=0"):
        SampleGrid(images(1), images(1), tmp_path, frequency=0)
    with pytest.raises(ValueError, match="`images_b`.*images of B"):
        grid(FakeModel(), images(1), None, tmp_path).picture()
