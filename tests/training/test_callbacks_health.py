"""Health: measures against numbers by hand, verdicts against pictures that show them, and the stop at a NaN."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from callbacks_fake import FakeModel, batches, images

from tf_cyclegan import UNIT
from tf_cyclegan.evaluation.metrics.unpaired import luminance_correlation, pairwise_distance
from tf_cyclegan.evaluation.verdicts import image_verdicts
from tf_cyclegan.models.losses import WON, Adversaries
from tf_cyclegan.training.callbacks import Health, TrainingDiverged


def test_pairwise_distance_by_hand():
    samples = np.array([0.0, 1.0, 3.0]).reshape(3, 1, 1, 1)
    assert pairwise_distance(samples) == pytest.approx((1 + 3 + 2) / 3)
    assert pairwise_distance(samples[:1]) == 0


def test_luminance_correlation_by_hand():
    row = np.array([-1.0, 0.0, 1.0]).reshape(1, 1, 3, 1)
    assert luminance_correlation(row, 0.5 * row + 0.1) == pytest.approx(1)
    assert luminance_correlation(row, -row) == pytest.approx(-1)
    assert luminance_correlation(row, np.array([1.0, -2.0, 1.0]).reshape(1, 1, 3, 1)) == pytest.approx(0)
    assert luminance_correlation(row, np.zeros_like(row)) is None
    both = np.concatenate([row, row])
    assert luminance_correlation(both, np.concatenate([row, 0 * row])) == pytest.approx(1), "flat pairs do not count"


def test_luminance_weighs_colors_as_eyes_do():
    color = np.array([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]]).reshape(1, 1, 3, 3)  # red, green, blue
    gray = np.array([0.299, 0.587, 0.114]).reshape(1, 1, 3, 1)
    assert luminance_correlation(color, gray) == pytest.approx(1)


@pytest.mark.parametrize(
    ("discriminator", "adversarial", "mode", "won"),
    [
        (0.002, 0.99, "lsgan", True),
        (0.25, 0.25, "lsgan", False),
        (0.002, 0.3, "lsgan", False),
        (0.01, 4.6, "vanilla", True),
        (0.69, 0.69, "vanilla", False),
        (0.0, 1.5, "hinge", True),
        (2.0, 0.0, "hinge", False),
        (-50.0, 40.0, "wgangp", False),
    ],
)
def test_who_has_won(discriminator, adversarial, mode, won):
    verdict = Adversaries(WON.get(mode)).verdict(discriminator, adversarial, "b")
    assert verdict.startswith("The discriminator of domain B has won") if won else verdict == ""


def smooth(count=4, seed=0):
    return images(count, 16, seed=seed)


def test_verdicts_on_pictures():
    x, y = smooth(), smooth(seed=1)
    assert image_verdicts(x, y, y) == []
    assert image_verdicts(x, x + 0.01, y) == ["unchanged"]
    assert image_verdicts(x, -x, y) == ["inverted"]
    assert image_verdicts(x, np.repeat(y[:1], 4, 0) + 0.01 * x, y) == ["collapsed"]


def test_a_small_object_that_changes_is_a_change():
    x = smooth()
    zebra = x.copy()
    zebra[:, :3, :3] *= -1  # 9 of 256 pixels: 3.5 percent
    assert np.abs(zebra - x).mean() / 2 < 0.02
    assert image_verdicts(x, zebra, smooth(seed=1)) == []


def test_outputs_may_be_as_alike_as_their_domain_is():
    drawings = 0.02 * smooth(seed=1)
    assert image_verdicts(smooth(), 0.02 * smooth(seed=2), drawings) == []


def test_gray_outputs_of_color_inputs_are_no_equals():
    x = smooth()
    assert image_verdicts(x, x.mean(-1, keepdims=True), smooth()[..., :1]) == []


def fit(model, epochs, **settings):
    lines = []
    health = Health(images(3, 16), images(3, 16, seed=1), report=lines.append, **settings)
    model.fit(batches(2), epochs=epochs, verbose=0, callbacks=[health])
    return lines


def lost(step, batch):
    return {"adversarial_ab": 0.99, "discriminator_b": 0.002, "adversarial_ba": 0.25, "discriminator_a": 0.25}


def test_a_won_discriminator_is_reported_once_with_figures_and_cure():
    lines = fit(FakeModel(lost), epochs=5)
    assert len(lines) == 1
    assert "discriminator of domain B has won: its loss is 0.002 and the generator's 0.99 for 3 epochs" in lines[0]
    assert "learning rate" in lines[0]


@pytest.mark.parametrize(
    ("augment", "images", "told"),
    [((), (900, 499), True), ((), (499, 500), False), (("color",), (9, 9), False), (None, (9, 9), False)],
)
def test_few_images_that_a_won_discriminator_judges_call_for_augmentation(augment, images, told):
    model = FakeModel(lost)
    if augment is not None:
        model.augment = augment
    (line,) = fit(model, epochs=1, patience=1, images=images)
    assert "learning rate" in line
    assert ("Domain B has 499 images" in line and "--augment=color,translation,cutout" in line) == told


def test_what_lasts_is_reported_again_after_ten_epochs():
    assert [line.split(" epochs.")[0].rsplit(" ")[-1] for line in fit(FakeModel(lost), epochs=14)] == ["3", "13"]


def test_the_weight_of_the_adversarial_loss_is_taken_out():
    model = FakeModel(lambda step, batch: {"adversarial_ab": 9.9, "discriminator_b": 0.002})
    model.lambda_adversarial = 10.0
    assert "generator's 0.99" in fit(model, epochs=1, patience=1)[0]
    model.lambda_adversarial = 100.0
    assert fit(model, epochs=1, patience=1) == []


def test_what_a_model_multiplies_its_discriminators_losses_by_is_taken_out():
    model = FakeModel(lambda step, batch: {"adversarial_ab": 0.99, "discriminator_b": 0.03})
    assert fit(model, epochs=1, patience=1) == []
    model.discriminator_weight = 2.0
    assert "its loss is 0.015" in fit(model, epochs=1, patience=1)[0]


def test_a_model_of_another_kind_of_adversaries_has_no_winner():
    model = FakeModel(lost)
    model.gan_mode = None
    assert fit(model, epochs=1, patience=1) == []


@pytest.mark.eager
@pytest.mark.parametrize(("variant", "scales"), [("v1.1", 3), ("paper", 1)])
def test_the_losses_of_unit_are_brought_to_those_of_the_thresholds(variant, scales):
    image = keras.Input((None, None, 3))
    unsure = keras.Model(image, [keras.layers.Rescaling(0.0, 0.5)(image) for _ in range(scales)])
    model = UNIT((32, 32, 3), variant=variant, filters=2, discriminator_a=unsure, discriminator_b=unsure)
    model.compile()
    logs = model.evaluate(images(1, 32), images(1, 32, seed=1), verbose=0, return_dict=True)
    pair = model.adversaries.unscaled(logs["discriminator_b"], logs["adversarial_ab"])
    assert pair == pytest.approx((0.25, 0.25))


def test_losses_without_domains_in_their_names_are_understood():
    model = FakeModel(
        lambda step, batch: {"adversarial": 0.99, "discriminator_real": 0.001, "discriminator_fake": 0.003}
    )
    model.directions = ("ab",)
    assert "its loss is 0.002" in fit(model, epochs=1, patience=1)[0]


def test_failures_in_pictures_are_reported_by_direction_and_default_to_the_logger(caplog):
    model = FakeModel()
    model.translate = lambda x, direction: -x if direction == "ab" else x
    with caplog.at_level(logging.WARNING, "tf_cyclegan"):
        health = Health(images(3, 16), images(3, 16, seed=1), patience=1)
        model.fit(batches(2), verbose=0, callbacks=[health])
    inverted, unchanged = caplog.messages
    assert inverted.startswith("From A to B, colors have been inverted. ") and "another seed" in inverted
    assert unchanged.startswith("From B to A, the output has equaled the input. ") and "`lambda_identity`" in unchanged


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_nan_stops_training_and_names_step_loss_and_files(value):
    asked = []

    def losses(step, batch):
        return {"cycle_a": tf.where(step == 2, value, 0.5), "cycle_b": 0.5}

    def names(step):
        asked.append(step)
        return [f"a{step}.png"], [f"b{step}.png"]

    model = FakeModel(losses)
    with pytest.raises(TrainingDiverged) as error:
        model.fit(batches(4), verbose=0, callbacks=[Health(images(), images(), names=names)])
    assert asked == [2] and int(model.step) == 3
    for part in ("step 2", "cycle_a", "a2.png", "b2.png", "last checkpoint", "learning rate", "learning rate"):
        assert part in str(error.value).replace("last\ncheckpoint", "last checkpoint")
    assert "cycle_b" not in str(error.value)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="`patience`.*patience=0"):
        Health(images(), images(), patience=0)
    with pytest.raises(ValueError, match="`images_b`"):
        Health(images(2), images(3))
