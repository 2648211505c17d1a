"""Pix2Pix: its losses, its order of updates, the statistics it translates with, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import channels_last, golden, part, random_batches, random_images

from tf_cyclegan import Pix2Pix
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.pytorch import load_state_dict

pytestmark = pytest.mark.eager


def small(**settings):
    model = Pix2Pix(**{"image_shape": (32, 32, 3), "filters": 4, "discriminator_filters": 4, **settings})
    model.compile()
    return model


def one_batch(channels=(3, 3)):
    return tuple(tf.constant(random_images(1, channels=count, seed=count + i)) for i, count in enumerate(channels))


# ---- the reference ----

TRACE = {"filters": 2, "discriminator_filters": 4, "dropout": 0.0, "image_shape": (128, 128, 3)}


@pytest.mark.graph
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_agrees_with_the_reference(dtype):
    trace, _ = golden("pix2pix_training_trace")
    model = small(**TRACE, dtype=dtype)
    assert model.downsamplings == 7
    load_state_dict(model.generator_network, part(trace, "initial/G/"))
    load_state_dict(model.discriminator_network, part(trace, "initial/D/"))
    for step in range(3):
        model.reset_metrics()
        batch = [channels_last(trace[domain][step], dtype) for domain in ("real_A", "real_B")]
        logs = model.train_on_batch(*batch, return_dict=True)
        found = [logs[name] for name in ("adversarial_ab", "l1_ab", "discriminator_b")]
        real, fake = trace["loss/D_real"][step], trace["loss/D_fake"][step]
        expected = [trace["loss/G_GAN"][step], trace["loss/G_L1"][step], (real + fake) / 2]
        np.testing.assert_allclose(found, expected, rtol=1e-3)


# ---- losses and gradients ----


@pytest.mark.parametrize("direction", ["ab", "ba"])
def test_losses_are_those_of_the_paper(direction):
    model = small(direction=direction, dropout=0.0, lambda_l1=10.0, lambda_adversarial=0.5, channels_b=1)
    batch = one_batch((3, 1))
    question, answer = batch if direction == "ab" else batch[::-1]
    fake = model.generator_network(question, training=True)
    network = model.discriminator_network
    fake_scores = np.asarray(network(tf.concat([question, fake], -1), training=True), "float64")
    real_scores = np.asarray(network(tf.concat([question, answer], -1), training=True), "float64")
    outputs = model.forward(batch, training=True)
    terms = {**model.generator_losses(batch, outputs), **model.discriminator_losses(batch, outputs)}
    expected = {
        f"adversarial_{direction}": 0.5 * np.mean(np.log1p(np.exp(-fake_scores))),
        f"l1_{direction}": 10 * np.mean(np.abs(np.asarray(fake) - np.asarray(answer))),
        f"discriminator_{direction[1]}": 0.5
        * (np.mean(np.log1p(np.exp(-real_scores))) + np.mean(np.log1p(np.exp(fake_scores)))),
    }
    assert terms.keys() == expected.keys() == set(model.loss_names)
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, rel=1e-4), name


def test_the_generator_meets_a_discriminator_that_is_already_updated():
    first, second = small(dropout=0.0), small(dropout=0.0)
    second.set_weights(first.get_weights())
    batch = one_batch()
    logs = first.train_on_batch(*batch, return_dict=True)
    outputs = second.forward(batch, training=True)
    before = float(second.generator_losses(batch, outputs)["adversarial_ab"])
    second._update_discriminators(batch, outputs)
    after = float(second.generator_losses(batch, outputs)["adversarial_ab"])
    assert abs(before - after) > 1e-3
    assert logs["adversarial_ab"] == pytest.approx(after, rel=1e-4)


def test_the_discriminator_sees_older_pairs_from_the_pool():
    model = small(pool_size=1, seed=0)
    old = {"fake_pair": tf.constant(random_images(1, channels=6, seed=5))}
    model.discriminator_inputs(old)
    seen = [model.discriminator_inputs({"fake_pair": tf.zeros((1, 32, 32, 6))})["fake_pair"] for _ in range(8)]
    assert any(np.array_equal(pair, old["fake_pair"]) for pair in seen)


def test_without_adversarial_weight_the_discriminator_stays():
    model = small(lambda_adversarial=0.0)
    before = [weight.numpy() for weight in model.discriminator_network.weights]
    assert set(model.train_on_batch(*one_batch(), return_dict=True)) == {"loss", "l1_ab"}
    for ours, old in zip(model.discriminator_network.weights, before, strict=True):
        np.testing.assert_array_equal(ours, old)


def test_the_gradient_penalty_is_of_the_pair():
    model = small(gan_mode="wgangp", normalization="instance")
    logs = model.train_on_batch(*one_batch(), return_dict=True)
    assert logs["gradient_penalty_b"] > 0 and set(logs) == {"loss", *model.loss_names}


# ---- statistics at test time ----


def test_translation_takes_the_statistics_of_each_image():
    model = small(dropout=0.0)
    model.fit(random_batches(2), verbose=0)
    image, other = random_images(seed=3), random_images(seed=4)
    as_in_training = np.asarray(model.generator_network(image, training=True))
    np.testing.assert_allclose(model.translate(image), as_in_training, atol=1e-5)
    together = np.asarray(model.translate(np.concatenate([image, other])))
    np.testing.assert_allclose(together[:1], model.translate(image), atol=1e-5)
    assert "statistics of each image" in model.notes[0]


def test_an_exported_model_does_the_same_and_says_so(tmp_path):
    model = small(dropout=0.0)
    model.fit(random_batches(2), verbose=0)
    lines = []
    path = export_saved_model(model.generator("ab"), tmp_path / "x", 32, report=lines.append, notes=model.notes)
    together = random_images(3)
    exported = tf.saved_model.load(path).signatures["tensor"](image=tf.constant(together))["translated"]
    for index, image in enumerate(together):
        np.testing.assert_allclose(exported[index], model.generator_network(image[None], training=True)[0], atol=1e-5)
    assert "statistics of each image" in (tmp_path / "x" / "1" / "assets.extra" / "notes.txt").read_text()
    assert any("statistics of each image" in line for line in lines)


def test_moving_statistics_are_another_answer():
    model, moving = small(dropout=0.0), small(dropout=0.0, inference_statistics="moving")
    moving.set_weights(model.get_weights())
    image = random_images(seed=3)
    assert np.abs(np.asarray(moving.translate(image)) - np.asarray(model.translate(image))).max() > 0.01
    assert moving.notes == ()


def test_statistics_survive_saving(tmp_path):
    model = small()
    model.fit(random_batches(2), verbose=0)
    model.generator("ab").save(tmp_path / "generator.keras")
    again = keras.models.load_model(tmp_path / "generator.keras")
    np.testing.assert_array_equal(again(random_images(), training=False), model.translate(random_images()))


# ---- settings ----


@pytest.mark.parametrize("side, downsamplings", [(32, 5), (64, 6), (128, 7), (256, 8), (512, 8), (96, 5)])
def test_the_depth_follows_from_the_size(side, downsamplings):
    model = Pix2Pix(image_shape=(side, 2 * side, 3), filters=1, discriminator_filters=1)
    assert model.downsamplings == downsamplings and model.size_multiple == 2**downsamplings


def test_a_resnet_can_be_the_generator():
    model = small(generator_type="resnet", residual_blocks=1, image_shape=(36, 36, 3))
    assert model.size_multiple == 4
    model.train_on_batch(random_images(1, 36), random_images(1, 36), return_dict=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_shape": (100, 100, 3)},
        {"downsamplings": 6},
        {"direction": "sideways"},
        {"generator_type": "vit"},
        {"inference_statistics": "batch"},
        {"dropout_placement": "everywhere"},
        {"dropout": 1.0},
        {"lambda_l1": -1.0},
        {"pool_size": -1},
        {"gan_mode": "magic"},
    ],
)
def test_errors_name_argument_and_value(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError) as error:
        small(**wrong)
    assert f"`{name}`" in str(error.value) and str(value) in str(error.value)


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="`lambda_l1` and `lambda_adversarial`"):
        small(lambda_l1=0.0, lambda_adversarial=0.0)
