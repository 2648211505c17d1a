"""The objectives and settings of CycleGAN."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, random_batches, random_images

from tf_cyclegan import CycleGAN, networks
from tf_cyclegan.models import building, losses

pytestmark = pytest.mark.eager


def small(**settings):
    return CycleGAN(**{**SMALL, "residual_blocks": 1, **settings})


BATCH = (random_images(seed=1), random_images(seed=2))


def test_losses_are_the_papers():
    model = small(lambda_cycle=(10.0, 5.0), lambda_identity=0.5)
    a, b = BATCH
    terms = model.generator_losses(BATCH, model.forward(BATCH, training=True))
    ab, ba = model.generator_ab, model.generator_ba

    def l1(x, y):
        return np.abs(np.asarray(x) - np.asarray(y)).mean()

    expected = {
        "adversarial_ab": np.square(np.asarray(model.discriminator_b(ab(a))) - 1).mean(),
        "adversarial_ba": np.square(np.asarray(model.discriminator_a(ba(b))) - 1).mean(),
        "cycle_a": 10 * l1(ba(ab(a)), a),
        "cycle_b": 5 * l1(ab(ba(b)), b),
        "identity_a": 10 * 0.5 * l1(ba(a), a),
        "identity_b": 5 * 0.5 * l1(ab(b), b),
    }
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_one_call_for_two_batches_changes_nothing(policy):
    networks_ = {name: getattr(small(dtype=policy), name) for name in ("generator_ab", "discriminator_b")}
    for network in networks_.values():
        together = building.call_together(network, list(BATCH), training=True)
        for answer, images in zip(together, BATCH, strict=True):
            alone = network(images, training=True)
            np.testing.assert_allclose(answer, alone, atol=1e-5 if policy == "float32" else 2e-2)


def calls_of(network, batches):
    """How often a network is called for batches."""
    sizes = []
    image = keras.Input((None, None, 3))
    counted = keras.Model(image, network(image))
    counted.call = lambda x, **kwargs: sizes.append(x.shape[0]) or type(counted).call(counted, x, **kwargs)
    building.call_together(counted, batches, training=True)
    return sizes


@pytest.mark.parametrize("kind", ["batch normalization", "own layer", "own operation", "sizes"])
def test_networks_in_which_images_meet_are_called_for_each_batch(kind):
    image = keras.Input((None, None, 3))
    batches = [np.ones((1, 16, 16, 3), "float32"), np.ones((2, 16, 16, 3), "float32")]
    assert calls_of(keras.Model(image, keras.layers.ReLU()(image)), batches) == [3]
    output = {
        "batch normalization": lambda: keras.layers.BatchNormalization()(image),
        "own layer": lambda: keras.layers.Lambda(lambda x: x - keras.ops.mean(x))(image),
        "own operation": lambda: image - keras.ops.mean(image),
        "sizes": lambda: keras.layers.ReLU()(image),
    }[kind]()
    batches[1] = batches[1][:, : 8 if kind == "sizes" else 16]
    assert calls_of(keras.Model(image, output), batches) == [1, 2]


@pytest.mark.parametrize("term, cycles", [("cycle_a", (10.0, 0.0)), ("cycle_b", (0.0, 10.0))])
def test_each_cycle_reaches_both_generators(term, cycles):
    model = small(lambda_cycle=cycles, lambda_adversarial=0, lambda_identity=0)
    with tf.GradientTape() as tape:
        terms = model.generator_losses(BATCH, model.forward(BATCH, training=True))
    assert list(terms) == [term]
    for gradient in tape.gradient(terms[term], model.generator_variables):
        assert np.abs(gradient).max() > 0


ABLATIONS = {
    "cycle alone": ({"lambda_adversarial": 0, "lambda_identity": 0}, {"cycle_a", "cycle_b"}),
    "GAN alone": ({"lambda_cycle": 0}, {"adversarial_ab", "adversarial_ba"}),
    "GAN + forward": ({"lambda_cycle": (10, 0), "lambda_identity": 0}, {"adversarial_ab", "adversarial_ba", "cycle_a"}),
    "GAN + backward": (
        {"lambda_cycle": (0, 10), "lambda_identity": 0},
        {"adversarial_ab", "adversarial_ba", "cycle_b"},
    ),
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_of_the_paper_are_settings(name):
    settings, terms = ABLATIONS[name]
    model = small(**settings)
    model.compile()
    frozen = [w.numpy() for w in model.discriminator_variables]
    history = model.fit(random_batches(1), verbose=0, shuffle=False).history
    adversarial = {"discriminator_a", "discriminator_b"} if "GAN" in name else set()
    assert set(history) == {"loss"} | terms | adversarial
    same = [np.array_equal(w, f) for w, f in zip(model.discriminator_variables, frozen, strict=True)]
    assert all(same) if name == "cycle alone" else not any(same)


@pytest.mark.parametrize("gan_mode", losses.GAN_MODES)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_gan_modes_train(gan_mode, policy):
    model = small(gan_mode=gan_mode, dtype=policy)
    model.compile()
    history = model.fit(random_batches(2, batch=2), verbose=0, shuffle=False).history
    assert ("gradient_penalty_a" in history) == (gan_mode == "wgangp")
    assert all(np.isfinite(values).all() for values in history.values())


@pytest.mark.graph
def test_wgangp_applies_its_penalty():
    """A discriminator trained by the penalty alone comes to slopes of norm 1."""
    model = small(gan_mode="wgangp", lambda_gradient_penalty=1.0, pool_size=0)
    model.compile(discriminator_optimizer=keras.optimizers.Adam(1e-2))
    values = [
        model.train_on_batch(*BATCH, return_dict=True)["gradient_penalty_b"]
        for _ in range(20)
        if not model.reset_metrics()
    ]
    assert values[-1] < 0.5 * values[0]


@pytest.mark.parametrize("discriminator_type", ["patch", "pixel", "four_stride"])
def test_discriminator_types(discriminator_type):
    model = small(discriminator_type=discriminator_type)
    model.compile()
    model.fit(random_batches(1), verbose=0, shuffle=False)


def test_domains_with_different_channels(tmp_path):
    model = small(image_shape=(32, 32, 1), channels_b=3, lambda_identity=0)
    model.compile()
    data = tf.data.Dataset.from_tensors((random_images(channels=1), random_images(channels=3)))
    model.fit(data, verbose=0, shuffle=False)
    assert model.translate(random_images(channels=1)).shape == (1, 32, 32, 3)
    assert model.translate(random_images(channels=3), "ba").shape == (1, 32, 32, 1)
    model.save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras")


def test_discriminators_are_trained_on_pooled_images():
    model = small(pool_size=3)
    model.compile()
    for _ in range(2):
        fake_b = model.generator_ab(BATCH[0], training=True)
        before = int(model.pool_b.count)
        model.train_on_batch(*BATCH)
        np.testing.assert_allclose(model.pool_b.images[before], fake_b[0], atol=1e-5)


def test_own_networks_are_used_and_saved(tmp_path):
    own = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    judge = networks.pixel_discriminator((None, None, 3), filters=2)
    model = small(generator_ab=own, discriminator_a=judge, discriminator_filters=6)
    model.compile()
    model.fit(random_batches(1), verbose=0, shuffle=False)
    assert model.generator("ab") is own
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.translate(random_images()), model.translate(random_images()))
    assert again.discriminator_a.count_params() == judge.count_params()


def test_a_constant_image_does_no_harm():
    model = small()
    model.compile()
    flat = np.full((1, 32, 32, 3), 0.3, "float32")
    for _ in range(3):
        model.train_on_batch(flat, flat)
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize(
    "wrong",
    [
        {"gan_mode": "magic"},
        {"filters": 0},
        {"lambda_cycle": -1.0},
        {"lambda_cycle": (1.0, 2.0, 3.0)},
        {"lambda_identity": -0.5},
        {"lambda_adversarial": "much"},
        {"pool_size": -1},
        {"image_shape": (30, 32, 3)},
        {"discriminator_type": "image"},
    ],
)
def test_wrong_settings_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"(?s)`{name}`") as error:
        small(**wrong)
    assert str(value) in str(error.value)


def test_settings_that_do_not_fit_together():
    with pytest.raises(ValueError, match="`pool_size`.*None"):
        small(image_shape=(None, None, 3))
    with pytest.raises(ValueError, match="`lambda_identity`"):
        small(channels_b=1)
    with pytest.raises(ValueError, match="`normalization`.*wgangp"):
        small(gan_mode="wgangp", normalization="batch")


@pytest.mark.graph
def test_unknown_sizes_without_a_pool():
    model = small(image_shape=(None, None, 3), pool_size=0)
    model.compile()
    for size in (32, 40):
        model.fit(random_batches(1, size=size), verbose=0, shuffle=False)


@pytest.mark.parametrize("settings", [{"normalization": "batch"}, {"gan_mode": "wgangp"}])
def test_evaluation_changes_nothing(settings):
    model = small(**settings)
    model.compile()
    before = [variable.numpy() for variable in (*model.weights, model._penalty_seed.state)]
    model.evaluate(random_batches(1), verbose=0)
    after = [variable.numpy() for variable in (*model.weights, model._penalty_seed.state)]
    for ours, theirs in zip(before, after, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_own_networks_in_half_precision_and_float32_batches_in_float64():
    own = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3, padding="same", dtype="bfloat16")])
    for model in (small(generator_ab=own, dtype="mixed_bfloat16"), small(dtype="float64")):
        model.compile()
        history = model.fit(random_batches(1), verbose=0, shuffle=False).history
        assert np.isfinite(list(history.values())).all()


def test_compile_names_what_it_does_not_take():
    with pytest.raises(ValueError, match="`loss`"):
        small().compile(loss="mse")
    adam = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="`discriminator_optimizer`"):
        small().compile(adam, adam)


def test_a_batch_of_one_domain_is_refused():
    model = small()
    model.compile()
    with pytest.raises(ValueError, match="pair"):
        model.train_on_batch(random_images())


def test_more_settings_that_do_not_fit():
    with pytest.raises(ValueError, match="`lambda_cycle` and `lambda_adversarial`"):
        small(lambda_cycle=0, lambda_adversarial=0)
    with pytest.raises(ValueError, match="`channels_b`.*0"):
        small(channels_b=0)
    judge = networks.patchgan_discriminator((32, 32, 3), filters=4, normalization="batch")
    with pytest.raises(ValueError, match="`normalization`.*wgangp"):
        small(gan_mode="wgangp", discriminator_a=judge)


# ---- generators ----


def test_a_unet_halves_as_often_as_the_images_allow():
    assert small(generator_type="unet").downsamplings == 5
    model = small(generator_type="unet", image_shape=(48, 80, 3), downsamplings=4)
    assert (model.size_multiple, model.smallest_side) == (16, 8)
    assert model.translate(random_images(1, 9, 21)).shape == (1, 9, 21, 3)
    with pytest.raises(ValueError, match="`image_shape`.*multiples of 32.*(48, 48, 3)"):
        small(generator_type="unet", image_shape=(48, 48, 3))


@pytest.mark.parametrize("generator_type, depth", [("resnet", 1), ("resnet", 3), ("unet", 3)])
def test_generators_come_back_as_they_were(generator_type, depth, tmp_path):
    model = small(generator_type=generator_type, downsamplings=depth, upsampling="resize", full_size_skip=True)
    model.compile()
    model.fit(random_batches(1), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config() and again.size_multiple == 2**depth
    np.testing.assert_array_equal(again.translate(random_images(1)), model.translate(random_images(1)))


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"generator_type": "vit"}, "`generator_type` must be one of resnet, unet.*'vit'"),
        ({"downsamplings": 0}, "`downsamplings` must be an integer of at least 1.*0"),
        ({"downsamplings": 5}, r"`image_shape`.*multiples of 32, at least 64.*\(32, 32, 3\)"),
        ({"downsamplings": 6, "generator_type": "unet"}, r"`image_shape`.*multiples of 64.*\(32, 32, 3\)"),
    ],
)
def test_generators_that_cannot_be_are_named(wrong, told):
    with pytest.raises(ValueError, match=told):
        small(**wrong)
