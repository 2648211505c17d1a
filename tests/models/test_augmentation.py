"""Differentiable augmentation: operations by hand, draws, gradients, and what models make of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, random_batches, random_images
from test_contract import SMALLER

from tf_cyclegan import CycleGAN, Pix2Pix
from tf_cyclegan.models import MODELS
from tf_cyclegan.models.augmentation import (
    AUGMENTATIONS,
    augmented,
    cut_out,
    draw_augmentation,
    recolored,
    translated,
)

ALL = ("color", "translation", "cutout")
models = pytest.mark.parametrize("name", MODELS)


def small(name, **settings):
    model = MODELS[name](**{**SMALL, **SMALLER[name], **settings})
    model.compile()
    return model


# ---- the operations ----


def test_colors_by_hand():
    # Of two pixels with two channels. Brighter: [[1, 3], [5, 7]]; saturation of 0: means of 2 and 6 in both channels;
    # contrast of a half about 4: 3 and 5.
    image = tf.constant([[[[0.0, 2.0], [4.0, 6.0]]]])
    gray = recolored(image, tf.constant([1.0]), tf.constant([0.0]), tf.constant([0.5]))
    np.testing.assert_allclose(gray, [[[[3, 3], [5, 5]]]])
    # Saturation of 2: [[0, 4], [4, 8]]; contrast of 1.5 about 4: [[-2, 4], [4, 10]], which nothing clips.
    vivid = recolored(image, tf.constant([1.0]), tf.constant([2.0]), tf.constant([1.5]))
    np.testing.assert_allclose(vivid, [[[[-2, 4], [4, 10]]]])


def test_colors_of_one_channel_have_no_saturation():
    images = tf.constant(random_images(2, 8, channels=1))
    one = tf.ones(2)
    np.testing.assert_allclose(recolored(images, 0 * one, 0 * one, one), images, atol=1e-6)


def test_translation_by_hand():
    images = tf.constant(np.arange(1.0, 33).reshape(2, 4, 4, 1).astype("float32"))
    moved = translated(images, tf.constant([1, 0]), tf.constant([0, -1]), fill=9.0)[..., 0]
    np.testing.assert_array_equal(moved[0], [[9, 9, 9, 9], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    np.testing.assert_array_equal(moved[1], [[18, 19, 20, 9], [22, 23, 24, 9], [26, 27, 28, 9], [30, 31, 32, 9]])


def test_cutout_by_hand():
    images = tf.ones((3, 4, 6, 1))
    # Holes of 2 x 3 pixels; the first begins a row above the middle and a column left of it, two lie half outside.
    left = cut_out(images, tf.constant([2, 0, 4]), tf.constant([2, 0, 5]))[..., 0]
    np.testing.assert_array_equal(left[0], [[1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 1, 1], [1, 0, 0, 0, 1, 1], [1] * 6])
    np.testing.assert_array_equal(left[1], [[0, 0, 1, 1, 1, 1], [1] * 6, [1] * 6, [1] * 6])
    np.testing.assert_array_equal(left[2], [[1] * 6, [1] * 6, [1] * 6, [1, 1, 1, 1, 0, 0]])


def test_draws_reach_their_ends_and_not_beyond():
    # Sides of 12 and 10: shifts of up to 2 (1.5 + 0.5) and 1; holes of 6 and 5.
    draw = draw_augmentation(ALL, (4000, 12, 10, 3), keras.random.SeedGenerator(0))
    assert list(draw) == list(ALL)
    for values, (low, high) in zip(draw["color"], [(-0.5, 0.5), (0, 2), (0.5, 1.5)], strict=True):
        assert low <= np.min(values) < low + 0.01 and high - 0.01 < np.max(values) < high
        assert np.mean(values) == pytest.approx((low + high) / 2, abs=0.05)
    down, right = draw["translation"]
    assert set(down.numpy()) == set(range(-2, 3)) and set(right.numpy()) == {-1, 0, 1}
    row, column = draw["cutout"]
    assert set(row.numpy()) == set(range(13)) and set(column.numpy()) == set(range(10))


def test_each_image_has_a_draw_of_its_own_and_two_draws_differ():
    seed = keras.random.SeedGenerator(0)
    same = tf.constant(np.repeat(random_images(1, 16), 3, axis=0))
    for name in AUGMENTATIONS:
        first, second = (augmented(same, draw_augmentation((name,), same.shape, seed)) for _ in range(2))
        distances = [np.abs(first[i] - first[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))]
        assert min(distances) > 0.01, name
        assert np.abs(first - second).max() > 0.01, name


def test_one_draw_alters_alike_and_maps_keep_their_values():
    seed = keras.random.SeedGenerator(0)
    images = tf.constant(random_images(2, 16))
    draw = draw_augmentation(ALL, images.shape, seed)
    np.testing.assert_array_equal(augmented(images, draw), augmented(images, draw))
    maps = augmented(tf.ones((2, 16, 16, 5)), draw, maps=True)
    assert set(np.unique(maps)) == {0, 1}
    # Where a map is kept, an image has been recolored and moved in the same way.
    again = augmented(images, {name: draw[name] for name in ("translation", "cutout")}, fill=0.5)
    np.testing.assert_array_equal(np.all(maps == 0, -1), np.all((again == 0) | (again == 0.5), -1))


def test_names_are_applied_in_their_order():
    images = tf.constant(random_images(1, 16))
    draw = {"cutout": (tf.constant([8]), tf.constant([8])), "translation": (tf.constant([2]), tf.constant([2]))}
    for order, first_hole in ((("cutout", "translation"), 6), (("translation", "cutout"), 4)):
        done = augmented(images, {name: draw[name] for name in order}, fill=1.0)
        assert np.argwhere(done[0, 8, :, 0] == 0).min() == first_hole


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_are_those_of_finite_differences(name):
    images = tf.constant(random_images(2, 8), "float64")
    weights = tf.constant(random_images(2, 8, seed=1), "float64")
    draw = draw_augmentation((name,), images.shape, 0)

    def judged(x):
        return tf.reduce_sum(weights * augmented(x, draw, fill=1.0) ** 2)

    with tf.GradientTape() as tape:
        tape.watch(images)
        value = judged(images)
    gradient = tape.gradient(value, images)
    assert np.abs(gradient).max() > 0
    direction = tf.constant(random_images(2, 8, seed=2), "float64")
    slope = (judged(images + 1e-5 * direction) - judged(images - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose(tf.reduce_sum(gradient * direction), slope, rtol=1e-6)


def test_sizes_that_a_graph_learns_while_it_runs():
    eager = augmented(tf.constant(random_images(2, 24, 16)), draw_augmentation(ALL, (2, 24, 16, 3), 0), 1.0)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def graph(images):
        return augmented(images, draw_augmentation(ALL, keras.ops.shape(images), 0), 1.0)

    np.testing.assert_allclose(graph(random_images(2, 24, 16)), eager, atol=1e-6)


def test_xla_computes_the_same():
    """Whole steps under XLA are in `test_distribution.py`."""
    images = tf.constant(random_images(2, 16))
    draw = draw_augmentation(ALL, images.shape, 0)

    def slope(x, draw):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(augmented(x, draw, fill=1.0) ** 2)
        return tape.gradient(value, x)

    np.testing.assert_allclose(tf.function(slope, jit_compile=True)(images, draw), slope(images, draw), atol=1e-4)


# ---- models ----


@models
def test_settings_come_as_words_or_names_and_wrong_ones_are_named(name):
    kind, settings = MODELS[name], {**SMALL, **SMALLER[name]}
    assert kind(**settings).augment == kind(**settings, augment="").augment == ()
    model = kind(**settings, augment="color,cutout", augment_fill=1)
    assert model.augment == ("color", "cutout") and kind.from_config(model.get_config()).augment == model.augment
    for wrong in ("colour", "color,color", ("blur",), 3, "color, cutout"):
        with pytest.raises(ValueError, match="`augment` must be names from color, translation, cutout.*Received"):
            kind(**settings, augment=wrong)
    for wrong in (1.5, "white", None, True):
        with pytest.raises(ValueError, match="`augment_fill` must be a number in .-1, 1."):
            kind(**settings, augment_fill=wrong)


class Watched:
    """A discriminator that remembers what it was shown."""

    def __init__(self, network):
        self.network, self.seen = network, []

    def __call__(self, images, training=None):
        self.seen.append(images)
        return self.network(images, training=training)


def watched(model, attribute, monkeypatch):
    watch = Watched(getattr(model, attribute))
    monkeypatch.setitem(model.__dict__, attribute, watch)
    return watch.seen


@pytest.mark.eager
def test_real_and_generated_images_are_altered_in_both_steps(monkeypatch):
    model = CycleGAN(**SMALL, residual_blocks=1, augment="cutout")
    seen = watched(model, "discriminator_b", monkeypatch)
    batch = tuple(map(tf.constant, (random_images(seed=1), random_images(seed=2))))
    outputs = {**model.forward(batch, True), "fake_a": batch[0]}
    losses = model.generator_losses(batch, outputs)
    model.discriminator_losses(batch, outputs)
    (of_generators,) = seen[0]
    of_both = np.concatenate(seen[1:])
    for shown in (of_generators, *of_both):
        assert 0.05 < np.mean(np.all(np.asarray(shown) == 0, -1)) <= 0.25
    holes = [np.all(np.asarray(shown) == 0, -1) for shown in (of_generators, *of_both)]
    assert len({hole.tobytes() for hole in holes}) == 3
    assert set(losses) == {"adversarial_ab", "adversarial_ba", "cycle_a", "cycle_b", "identity_a", "identity_b"}


@models
@pytest.mark.eager
def test_evaluation_sees_images_as_they_are_and_moves_no_random_state(name):
    plain, model = small(name), small(name, augment=ALL)
    networks = ([*each.generators, *each.discriminators] for each in (model, plain))
    for network, other in zip(*networks, strict=True):
        network.set_weights(other.get_weights())
    before = [state.numpy() for state in model._random_states()]
    ours, theirs = (m.evaluate(random_batches(1), verbose=0, return_dict=True) for m in (model, plain))
    assert ours == theirs
    for state, value in zip(model._random_states(), before, strict=True):
        np.testing.assert_array_equal(state, value)


@models
def test_without_augmentation_there_is_no_state_more_and_nothing_is_altered(name):
    model = MODELS[name](**{**SMALL, **SMALLER[name]})
    more = MODELS[name](**{**SMALL, **SMALLER[name]}, augment="color")
    assert len(more._random_states()) == len(model._random_states()) + 1
    images = tf.zeros((1, 32, 32, 6))
    assert model._shown(images, True) is images and more._shown(images, False) is images


@models
@pytest.mark.eager
def test_what_is_loaded_is_augmented_as_if_never_stopped(name, tmp_path):
    model = small(name, augment=ALL, augment_fill=1.0)
    model.fit(random_batches(1), verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.augment == ALL and again.augment_fill == 1.0
    assert again.run_eagerly
    for each in (model, again):
        each.fit(random_batches(1), verbose=0, shuffle=False)
    for ours, theirs in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    for ours, theirs in zip(model._random_states(), again._random_states(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_gradient_penalty_is_of_what_the_discriminator_sees(monkeypatch):
    model = CycleGAN(**SMALL, residual_blocks=1, gan_mode="wgangp", augment="cutout", seed=0)
    batch = (tf.ones((2, 32, 32, 3)),) * 2
    seen = watched(model, "discriminator_b", monkeypatch)
    terms = model.discriminator_losses(batch, {"fake_a": -batch[0], "fake_b": -batch[0]})
    assert np.isfinite(float(terms["gradient_penalty_b"]))
    real, fake, point = map(np.asarray, seen)
    in_both = (real == 0) & (fake == 0)
    assert in_both.any() and np.all(point[in_both] == 0)


# ---- models of pairs ----


def test_question_and_answer_are_altered_alike_and_recolored_apart():
    model = Pix2Pix(**SMALL, downsamplings=3, augment=ALL, augment_fill=1.0)
    question = tf.constant(random_images(2, seed=1))
    # The answer is the question, darker by far: a mean over both would mix them.
    shown = np.asarray(model._shown(tf.concat([question, question - 5], -1), True))
    untouched = ~np.all((shown == 0) | (shown == 1), -1)
    assert 0.2 < untouched.mean() < 1
    for ours, theirs in zip(shown, untouched, strict=True):
        difference = (ours[..., :3] - ours[..., 3:])[theirs]
        np.testing.assert_allclose(difference, 5, atol=1e-4)


def labelled(**settings):
    settings = {"image_shape": (16, 16, 2), "label_classes": 4, "instance_edges": True, "augment": ALL, **settings}
    return small("pix2pixhd", **settings)


def label_batch():
    """A label map of four classes with an object a class, and the answer, as white as the class is high."""
    labels = np.arange(4).repeat(4)[None, None, :, None] * np.ones((1, 16, 1, 1))
    question = np.concatenate([labels, labels], -1) / 127.5 - 1
    return tf.constant(question, "float32"), tf.constant(np.tile(labels / 10 + 0.1, (1, 1, 1, 3)), "float32")


@pytest.mark.eager
def test_label_maps_move_with_the_photo_and_keep_their_values():
    model = labelled(augment_fill=-1.0)
    question, photo = label_batch()
    condition = model._encoding(question)
    draw = model._drawn_augmentation(photo, True)
    maps, shown = map(np.asarray, model._shown_pair(condition, photo, draw))
    assert set(np.unique(maps)) == {0, 1} and np.all(maps[..., :4].sum(-1) <= 1)
    uncovered, cut = np.all(shown == -1, -1), np.all(shown == 0, -1)
    np.testing.assert_array_equal(maps[..., :4].sum(-1) == 0, uncovered | cut)
    # Recolored, but by one factor and one offset an image: each class still has one color.
    for label in range(4):
        colors = shown[maps[..., label] == 1]
        assert np.ptp(colors) < 1e-5 if len(colors) else True
    assert np.abs(shown[~(uncovered | cut)] - np.asarray(photo)[~(uncovered | cut)]).max() > 0.01


@pytest.mark.eager
@pytest.mark.parametrize("settings", [{}, {"pool_size": 0}])
def test_feature_matching_compares_under_one_draw(settings, monkeypatch):
    model = labelled(lambda_feature_matching=10.0, **settings)
    batch = label_batch()
    seen = watched(model, "discriminator_network", monkeypatch)
    outputs = {"fake": batch[1], "fake_pair": tf.concat(batch, -1)}
    terms = model.generator_losses(batch, outputs)
    # A perfect answer has the features of the real one, however it is altered.
    assert float(terms["feature_matching_ab"]) == 0
    np.testing.assert_array_equal(*seen)
    assert np.any(np.all(np.asarray(seen[0]) == 0, -1))
    seen.clear()
    model.discriminator_losses(batch, outputs if model.pool_size else {"fake": batch[1]})
    assert len(seen) == 2 and np.any(np.asarray(seen[0]) != np.asarray(seen[1]))
