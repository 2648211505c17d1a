"""The objectives and settings of UNIT, in both variants."""

import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, random_batches, random_images

from tf_cyclegan import networks
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.inference.export.saved_model import with_precision
from tf_cyclegan.models.unit import UNIT
from tf_cyclegan.pytorch import load_state_dict

BATCH = (random_images(seed=1), random_images(seed=2))
VARIANTS = ("v1.1", "paper")
both = pytest.mark.parametrize("variant", VARIANTS)
PARTS = ("encoder_a", "encoder_b", "decoder_a", "decoder_b")


def small(variant="v1.1", **settings):
    only = {"scales": 2} if variant == "v1.1" else {}
    return UNIT(**{**SMALL, "variant": variant, "pool_size": 0, "residual_blocks": 1, **only, **settings})


def step_by_step(model, **optimizers):
    """Compiled without a graph, which for a step or two takes longer to make than to run."""
    model.compile(**optimizers, run_eagerly=True)
    return model


def as_floats(terms):
    return {name: float(value) for name, value in terms.items()}


def l1(x, y):
    return np.abs(np.asarray(x) - np.asarray(y)).mean()


def square(x):
    return np.square(np.asarray(x)).mean()


# ---- objectives ----


@both
def test_losses_are_the_papers(variant):
    weights = {"adversarial": 2.0, "reconstruction": 3.0, "kl": 5.0, "cycle": 7.0, "cycle_kl": 11.0}
    model = small(variant, **{f"lambda_{name}": weight for name, weight in weights.items()})
    a, b = BATCH
    encode_a, encode_b, decode_a, decode_b = (getattr(model, part) for part in PARTS)
    outputs = model.forward(BATCH, training=False)
    fake_a, fake_b = decode_a(encode_b(b)), decode_b(encode_a(a))

    def adversarial(discriminator, images, target):
        return sum(square(scores - target) for scores in _scales(discriminator(images)))

    expected = {
        "adversarial_ab": 2 * adversarial(model.discriminator_b, fake_b, 1),
        "adversarial_ba": 2 * adversarial(model.discriminator_a, fake_a, 1),
        "reconstruction_a": 3 * l1(decode_a(encode_a(a)), a),
        "reconstruction_b": 3 * l1(decode_b(encode_b(b)), b),
        "kl_a": 5 * square(encode_a(a)),
        "kl_b": 5 * square(encode_b(b)),
        "cycle_a": 7 * l1(decode_a(encode_b(fake_b)), a),
        "cycle_b": 7 * l1(decode_b(encode_a(fake_a)), b),
        "cycle_kl_a": 11 * square(encode_b(fake_b)),
        "cycle_kl_b": 11 * square(encode_a(fake_a)),
    }
    assert as_floats(model.generator_losses(BATCH, outputs, training=False)) == pytest.approx(expected, rel=1e-4)
    judged = {
        f"discriminator_{domain}": adversarial(judge, real, 1) + adversarial(judge, fake, 0)
        for domain, judge, real, fake in (
            ("a", model.discriminator_a, a, fake_a),
            ("b", model.discriminator_b, b, fake_b),
        )
    }
    assert as_floats(model.discriminator_losses(BATCH, outputs, training=False)) == pytest.approx(judged, rel=1e-4)
    assert model.loss_names == sorted({*expected, *judged})


def _scales(scores):
    return scores if isinstance(scores, list) else [scores]


REACHED = {
    "adversarial_ab": {"encoder_a", "decoder_b"},
    "reconstruction_b": {"encoder_b", "decoder_b"},
    "kl_a": {"encoder_a"},
    "cycle_a": set(PARTS),
    "cycle_b": set(PARTS),
    "cycle_kl_a": {"encoder_a", "decoder_b", "encoder_b"},
}


def test_each_term_reaches_the_networks_it_is_of():
    model = small()
    with tf.GradientTape(persistent=True) as tape:
        terms = model.generator_losses(BATCH, model.forward(BATCH, training=True))
    for term, reached in REACHED.items():
        for part in PARTS:
            gradients = tape.gradient(terms[term], getattr(model, part).trainable_variables)
            moved = [gradient is not None and np.abs(gradient).max() > 0 for gradient in gradients]
            assert all(moved) if part in reached else not any(moved), (term, part)


def test_both_variants_stand_for_their_weights():
    tiny = {"image_shape": (64, 64, 3), "filters": 1, "residual_blocks": 0, "discriminator_filters": 1}
    terms = ("adversarial", "kl", "reconstruction", "cycle_kl", "cycle")
    models = [UNIT(variant=variant, **tiny) for variant in VARIANTS]
    values = [[getattr(model, f"lambda_{term}") for term in terms] for model in models]
    assert values == [[1, 0.01, 10, 0.01, 10], [10, 0.1, 100, 0.1, 100]]


def test_a_term_without_weight_is_not_computed():
    model = step_by_step(small(lambda_cycle=0, lambda_cycle_kl=0, lambda_kl=0, lambda_adversarial=0))
    frozen = [w.numpy() for w in model.discriminator_variables]
    assert model.loss_names == ["reconstruction_a", "reconstruction_b"]
    assert not any(name.startswith("cycle") for name in model.forward(BATCH, training=True))
    history = model.fit(random_batches(1), verbose=0, shuffle=False).history
    assert set(history) == {"loss", "reconstruction_a", "reconstruction_b"}
    for weight, before in zip(model.discriminator_variables, frozen, strict=True):
        np.testing.assert_array_equal(weight, before)


@pytest.mark.parametrize("gan_mode, real, fake", [("vanilla", np.log(2), np.log(2)), ("hinge", 1, 1)])
def test_other_adversarial_losses_stand_whole(gan_mode, real, fake):
    model = small(gan_mode=gan_mode)
    for weight in model.discriminator_variables:
        weight.assign(0 * weight)
    terms = model.discriminator_losses(BATCH, {"fake_a": BATCH[0], "fake_b": BATCH[1]})
    assert float(terms["discriminator_a"]) == pytest.approx(2 * (real + fake), rel=1e-5)


# ---- codes are drawn in training ----


def _plain_networks():
    """An encoder to zeros and two equal decoders that show the code as it is."""
    image, latent = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    settings = {"filters": 3, "kernel_size": 1, "use_bias": False}
    encoder = keras.layers.Conv2D(**settings, kernel_initializer="zeros")(image)
    identity = keras.initializers.Constant(np.eye(3)[None, None])
    decoders = [keras.layers.Conv2D(**settings, kernel_initializer=identity)(latent) for _ in "ab"]
    decoders = {f"decoder_{d}": keras.Model(latent, y, name=f"own_{d}") for d, y in zip("ab", decoders, strict=True)}
    return {"encoder_a": keras.Model(image, encoder, name="own_encoder"), **decoders}


def test_codes_are_drawn_about_the_mean_in_training_and_are_the_mean_otherwise():
    image = keras.Input((None, None, 3))
    mean = keras.layers.Conv2D(3, 1, use_bias=False, kernel_initializer="zeros")(image)
    model = small(**_plain_networks(), encoder_b=keras.Model(image, mean, name="own_encoder_b"))
    drawn, again = (model.forward(BATCH, training=True) for _ in range(2))
    code = np.asarray(drawn["reconstructed_a"])
    assert code.mean() == pytest.approx(0, abs=0.1) and code.std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(drawn["fake_b"], code, err_msg="one draw for both decoders")
    for other in (drawn["fake_a"], drawn["cycle_a"], drawn["cycle_b"], again["fake_b"]):
        assert np.abs(np.corrcoef(code.ravel(), np.ravel(other))[0, 1]) < 0.1
    assert not np.any(model.forward(BATCH, training=False)["fake_b"])
    assert not np.any(drawn["latent_a"]), "the divergence is of the mean"


@both
def test_translation_is_by_the_mean_and_evaluation_draws_nothing(variant):
    model = small(variant)
    model.compile()
    before = [variable.numpy() for variable in (*model.weights, model._noise_seed.state)]
    model.evaluate(random_batches(1), verbose=0)
    np.testing.assert_array_equal(model.translate(BATCH[0]), model.translate(BATCH[0]))
    np.testing.assert_allclose(model.translate(BATCH[0]), model.decoder_b(model.encoder_a(BATCH[0])), atol=1e-6)
    np.testing.assert_allclose(model.translate(BATCH[1], "ba"), model.decoder_a(model.encoder_b(BATCH[1])), atol=1e-6)
    after = [variable.numpy() for variable in (*model.weights, model._noise_seed.state)]
    for ours, theirs in zip(before, after, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---- training and saving ----


@both
def test_what_is_loaded_draws_and_trains_on_the_same(variant, tmp_path):
    model = step_by_step(small(variant, seed=3))
    model.train_on_batch(*BATCH)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.variant == variant and again.generator_optimizer.l2 == model.generator_optimizer.l2
    for trained in (model, again):
        trained.train_on_batch(*BATCH)
    for ours, theirs in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    ours, theirs = (trained.forward(BATCH, training=True) for trained in (model, again))
    for name, images in ours.items():
        np.testing.assert_array_equal(images, theirs[name], err_msg=name)


def test_the_papers_domains_share_their_blocks():
    model = small("paper")
    for ours, theirs, name in ((model.encoder_a, model.encoder_b, "shared_encoder"),
                               (model.decoder_a, model.decoder_b, "shared_decoder")):  # fmt: skip
        shared = ours.get_layer(name)
        assert shared is theirs.get_layer(name)
        common = {id(v) for v in ours.variables} & {id(v) for v in theirs.variables}
        assert common == {id(v) for v in shared.variables} and common
    identities = [id(variable) for variable in model.generator_variables]
    assert len(set(identities)) == len(identities)
    parts = {id(v) for part in PARTS for v in getattr(model, part).trainable_variables}
    assert set(identities) == parts


def test_shared_blocks_are_saved_once_and_come_back_shared(tmp_path):
    model = small("paper")
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    kernels = []
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(lambda _, item: kernels.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    for name, coder in (("shared_encoder", model.encoder_a), ("shared_decoder", model.decoder_a)):
        kernel = coder.get_layer(name).trainable_variables[0].numpy()
        assert sum(np.array_equal(saved, kernel) for saved in kernels) == 1
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.encoder_a.get_layer("shared_encoder") is again.encoder_b.get_layer("shared_encoder")
    for direction, images in zip(model.directions, BATCH, strict=True):
        np.testing.assert_array_equal(again.translate(images, direction), model.translate(images, direction))


def test_networks_of_v11_have_nothing_in_common():
    model = small()
    identities = [id(variable) for part in PARTS for variable in getattr(model, part).variables]
    assert len(set(identities)) == len(identities)


def test_the_default_optimizer_is_the_variants():
    model = step_by_step(small())
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        assert (float(optimizer.learning_rate), optimizer.beta_1) == (pytest.approx(1e-4), 0.5)
        assert optimizer.l2 == 1e-4
    assert small("paper").new_optimizer().l2 == 0
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-4, 100_000, 0.5, staircase=True)
    assert model.new_optimizer(schedule).get_config()["learning_rate"]["class_name"] == "ExponentialDecay"


def test_discriminators_are_updated_first_and_on_pooled_images():
    model = step_by_step(small(pool_size=3), discriminator_optimizer=keras.optimizers.SGD(1e6))
    logs = model.train_on_batch(*BATCH, return_dict=True)
    # A step so large shows at once in what the generators are told.
    assert logs["adversarial_ab"] > 1e3 * logs["discriminator_b"]
    assert int(model.pool_a.count) == int(model.pool_b.count) == 1


@both
def test_a_constant_image_does_no_harm(variant):
    model = step_by_step(small(variant))
    flat = np.full((1, 32, 32, 3), 0.3, "float32")
    for _ in range(3):
        model.train_on_batch(flat, flat)
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_unknown_sizes_without_a_pool():
    model = small(image_shape=(None, None, 3), discriminator_layers=2)
    any_size = tf.TensorSpec((None, None, None, 3))
    # One graph for all sizes, as `fit` makes it of data whose sizes are not known.
    losses = tf.function(lambda *batch: model.generator_losses(batch, model.forward(batch, training=True)))
    losses = losses.get_concrete_function(any_size, any_size)
    for size in (32, 40):
        batch = [random_images(2, size)] * 2
        assert np.isfinite(list(as_floats(losses(*map(tf.constant, batch))).values())).all()


@both
def test_domains_with_different_channels(variant, tmp_path):
    model = small(variant, image_shape=(32, 32, 1), channels_b=3)
    assert model.translate(random_images(channels=1)).shape == (1, 32, 32, 3)
    assert model.translate(random_images(channels=3), "ba").shape == (1, 32, 32, 1)
    model.save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras")


@pytest.mark.parametrize("variant, precision", [("v1.1", "bfloat16"), ("paper", "float32")])
def test_generators_are_exported(variant, precision, tmp_path):
    generator = small(variant).generator("ab")
    lines = []
    path = export_saved_model(generator, tmp_path / "served", precision=precision, report=lines.append)
    served = tf.saved_model.load(path).signatures["tensor"]
    images = random_images(1, 21, 30)
    translated = served(image=tf.constant(images))["translated"]
    padded = np.pad(images, ((0, 0), (0, 3), (0, 2), (0, 0)), "symmetric")
    want = np.asarray(generator(padded))[:, :21, :30]
    np.testing.assert_allclose(translated, want, atol=1e-5 if precision == "float32" else 0.1)


@both
@pytest.mark.parametrize("precision, policy", [("float32", "mixed_bfloat16"), ("bfloat16", "float32")])
def test_generators_are_copied_to_another_precision(variant, precision, policy):
    generator = small(variant, dtype=policy).generator("ba")
    copy = with_precision(generator, precision)
    assert copy is not generator and copy(BATCH[0]).dtype == "float32"
    np.testing.assert_allclose(copy(BATCH[0]), generator(BATCH[0]), atol=0.1)


# ---- own networks, and what does not fit ----


def test_own_networks_are_used_and_saved(tmp_path):
    own = networks.unit_encoder(filters=4, residual_blocks=0, name="own")
    judge = networks.pixel_discriminator((None, None, 3), filters=2)
    model = step_by_step(small(encoder_b=own, discriminator_a=judge))
    model.train_on_batch(*BATCH)
    assert model.encoder_b is own and model.discriminator_a is judge
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for direction in model.directions:
        np.testing.assert_array_equal(again.translate(BATCH[0], direction), model.translate(BATCH[0], direction))
    assert again.encoder_b.count_params() == own.count_params()


def test_own_networks_must_fit_together():
    with pytest.raises(ValueError, match="`decoder_a`.*16 channels.*8"):
        small(decoder_a=networks.unit_decoder(filters=2))
    with pytest.raises(ValueError, match="`encoder_a`.*functional"):
        small(encoder_a=keras.Model())
    shared = networks.shared_latent_block(filters=4)
    twins = {f"encoder_{d}": networks.shared_latent_encoder(filters=4, shared=shared, name=d) for d in "ab"}
    with pytest.raises(ValueError, match="`encoder_b` must not share weights with `encoder_a`"):
        small(**twins)
    with pytest.raises(ValueError, match="`encoder_a` must be None with `variant='paper'`"):
        small("paper", encoder_a=networks.unit_encoder(filters=4))


def test_a_generator_has_no_name_in_pytorch():
    with pytest.raises(ValueError, match="`network`.*encoder or a decoder"):
        load_state_dict(small().generator("ab"), {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"variant": "v2"},
        {"gan_mode": "wgangp"},
        {"filters": 0},
        {"residual_blocks": -1},
        {"scales": 0},
        {"lambda_cycle": (10.0, 5.0)},
        {"lambda_kl": -0.1},
        {"lambda_cycle_kl": "much"},
        {"pool_size": -1},
        {"channels_b": 0},
        {"image_shape": (30, 32, 3)},
    ],
)
def test_wrong_settings_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"(?s)`{name}`") as error:
        small(**wrong)
    assert str(value) in str(error.value)


@pytest.mark.parametrize("setting", [{"scales": 3}, {"discriminator_layers": 3}])
def test_settings_that_the_papers_variant_has_not(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"`{name}`.*v1.1.*{name}={value}"):
        small("paper", **setting)


def test_settings_that_do_not_fit_together():
    with pytest.raises(ValueError, match="`lambda_adversarial`, `lambda_reconstruction` and `lambda_cycle`"):
        small(lambda_adversarial=0, lambda_reconstruction=0, lambda_cycle=0)
    with pytest.raises(ValueError, match="`pool_size`.*None"):
        small(image_shape=(None, None, 3), pool_size=1)
    with pytest.raises(ValueError, match="`image_shape`.*61.*`scales`"):
        small(scales=3)
