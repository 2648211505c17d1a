"""The objectives, settings, stages and instance features of Pix2PixHD."""

import json
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_batches, random_images

from tf_cyclegan import Pix2PixHD
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.models.losses import feature_matching_loss
from tf_cyclegan.networks import patchgan_discriminator, resnet_generator, vgg

pytestmark = pytest.mark.eager
SMALL = {
    "image_shape": (16, 16, 3),
    "filters": 2,
    "downsamplings": 1,
    "residual_blocks": 1,
    "local_residual_blocks": 0,
    "discriminator_filters": 2,
    "discriminator_layers": 1,
    "scales": 2,
    "lambda_perceptual": 0.0,
}
LABELS = {"image_shape": (16, 16, 2), "label_classes": 4, "instance_edges": True}
FEATURES = {**LABELS, "instance_features": 3, "feature_clusters": 2}
STAGES = {"enhancers": 1, "stage_epochs": (1, 1)}
BATCH = (random_images(1, 16, seed=1), random_images(1, 16, seed=2))


def small(compiled=True, **settings):
    model = Pix2PixHD(**{**SMALL, **settings})
    if compiled:
        model.compile()
    return model


def label_images(batch=1, size=16, seed=0):
    """Label map of four classes and instance map, as in a batch."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, 4, (batch, 4, 4)).repeat(size // 4, 1).repeat(size // 4, 2)
    instances = 1000 * labels + random.randint(0, 3, (batch, 2, 2)).repeat(size // 2, 1).repeat(size // 2, 2)
    return (np.stack([labels, instances], -1) / 127.5 - 1).astype("float32")


def label_batches(count=2):
    images = label_images(count), random_images(count, 16, seed=2)
    return tf.data.Dataset.from_tensor_slices(images).batch(1)


def fit(model, data=None, **settings):
    data = random_batches(2, size=16) if data is None else data
    return model.fit(data, **{"verbose": 0, "shuffle": False, **settings}).history


@pytest.fixture
def features_of_images():
    """A perceptual network of five layers that is quick to make."""
    image = keras.Input((None, None, 3))
    outputs = [keras.layers.Conv2D(2, 3, name=f"relu{i}")(image) for i in range(5)]
    return keras.Model(image, outputs, name="perceptual", trainable=False)


def distance(x, y):
    return np.abs(np.asarray(x, "float64") - np.asarray(y, "float64")).mean()


# ---- objectives ----


def test_losses_are_the_papers(features_of_images):
    model = small(lambda_perceptual=5.0, lambda_adversarial=2.0, perceptual_network=features_of_images)
    a, b = BATCH
    outputs = model.forward(BATCH, training=True)
    fake = outputs["fake"]
    np.testing.assert_allclose(fake, model.generator("ab")(a), atol=1e-6)
    judge = model.discriminators[0]
    fake_scales, real_scales = judge(np.concatenate([a, fake], -1)), judge(np.concatenate([a, b], -1))
    weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    deep = [
        w * distance(f, r) for w, f, r in zip(weights, features_of_images(fake), features_of_images(b), strict=True)
    ]
    # Each of two scales has two layers with features and one with scores.
    pairs = [pair for scales in zip(fake_scales, real_scales, strict=True) for pair in zip(*scales, strict=True)]
    matching = [distance(*pair) / 2 * 4 / 2 for index, pair in enumerate(pairs) if index % 3 < 2]
    expected = {
        "adversarial_ab": 2 * sum(np.square(scale[-1] - 1.0).mean() for scale in fake_scales),
        "feature_matching_ab": 10 * sum(matching),
        "perceptual_ab": 5 * sum(deep),
    }
    terms = model.generator_losses(BATCH, outputs)
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected, rel=1e-4)
    scales = zip(real_scales, fake_scales, strict=True)
    halves = [np.square(real[-1] - 1.0).mean() + np.square(fake[-1]).mean() for real, fake in scales]
    terms = model.discriminator_losses(BATCH, model.discriminator_inputs(outputs))
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(
        {"discriminator_b": 0.5 * sum(halves)}, rel=1e-4
    )


def test_feature_matching_ignores_scores_and_does_not_reach_the_real_side():
    real, fake = ([[tf.Variable([[value]]) for value in values]] for values in ((1.0, 2.0, 9.0), (1.5, 4.0, 0.0)))
    with tf.GradientTape() as tape:
        loss = feature_matching_loss(real, fake)
    assert float(loss) == 4 / 2 * (0.5 + 2.0)
    gradients = tape.gradient(loss, [*real[0], *fake[0]])
    assert [None if g is None else float(g[0, 0]) for g in gradients] == [None, None, None, 2.0, 2.0, None]


@pytest.mark.parametrize(
    "settings, terms",
    [
        ({"lambda_feature_matching": 0}, {"adversarial_ab", "discriminator_b"}),
        ({"lambda_adversarial": 0}, {"feature_matching_ab", "discriminator_b"}),
    ],
)
def test_a_term_of_weight_0_is_left_out(settings, terms):
    assert set(fit(small(**settings), random_batches(1, size=16))) == {"loss"} | terms


def test_perceptual_loss_alone_trains_no_discriminator(features_of_images):
    model = small(
        lambda_perceptual=1.0, lambda_adversarial=0, lambda_feature_matching=0, perceptual_network=features_of_images
    )
    fixed = [v.numpy() for v in (*model.discriminator_variables, *features_of_images.weights)]
    assert set(fit(model)) == {"loss", "perceptual_ab"}
    for now, before in zip((*model.discriminator_variables, *features_of_images.weights), fixed, strict=True):
        np.testing.assert_array_equal(now, before)


def test_the_other_direction_exchanges_the_roles():
    model = small(direction="ba", image_shape=(16, 16, 1), channels_b=3)
    data = tf.data.Dataset.from_tensors((random_images(1, 16, channels=1), random_images(1, 16)))
    assert set(fit(model, data)) == {"loss", "adversarial_ba", "feature_matching_ba", "discriminator_a"}
    assert model.directions == ("ba",)
    assert model.translate(random_images(1, 18), "ba").shape == (1, 18, 18, 1)
    with pytest.raises(ValueError, match="`direction`.*'ab'"):
        model.translate(random_images(1, 16, channels=1), "ab")


@pytest.mark.parametrize("gan_mode", ["vanilla", "hinge"])
def test_gan_modes_train(gan_mode):
    assert np.isfinite(list(fit(small(gan_mode=gan_mode)).values())).all()


def test_the_default_depth_works_on_32_pixels():
    settings = {"filters": 2, "residual_blocks": 1, "discriminator_filters": 2, "lambda_perceptual": 0.0}
    model = Pix2PixHD(image_shape=(32, 32, 3), **settings)
    model.compile()
    fit(model, random_batches(1))
    assert model.size_multiple == 16
    assert model.translate(random_images(1, 16)).shape == (1, 16, 16, 3)


@pytest.mark.parametrize("maps", [False, True])
def test_discriminators_are_trained_on_pairs_from_the_pool(maps):
    model = small(pool_size=3, **(LABELS if maps else {}))
    a, b = (label_images(), BATCH[1]) if maps else BATCH
    for _ in range(2):
        fake = model.generator("ab")(a, training=True)
        before = int(model.pool.count)
        model.train_on_batch(a, b)
        np.testing.assert_allclose(model.pool.images[before], np.concatenate([a, fake], -1)[0], atol=1e-5)


# ---- weights of VGG19 ----


def test_without_a_download_training_goes_on_and_says_so(monkeypatch, caplog, tmp_path):
    def fail(**_):
        raise OSError("no network")

    monkeypatch.setattr(keras.applications, "VGG19", fail)
    with caplog.at_level(logging.WARNING, "tf_cyclegan"):
        model = small(lambda_perceptual=10.0)
    (record,) = caplog.records
    assert "no network" in record.getMessage() and "\n" not in record.getMessage()
    assert model.perceptual_network is False and model.loss_names == small().loss_names
    assert set(fit(model)) == {"loss", *model.loss_names}
    # What is saved goes on without it, also where it could be loaded.
    monkeypatch.setattr(keras.applications, "VGG19", None)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.perceptual_network is False and again.get_config() == model.get_config()


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="`perceptual_weights`.*nothing.h5"):
        small(lambda_perceptual=10.0, perceptual_weights=str(tmp_path / "nothing.h5"))


def test_a_saved_model_brings_its_vgg_along(monkeypatch, tmp_path):
    monkeypatch.setattr(vgg, "_BLOCKS", ((2, 1),) * 5)
    model = small(lambda_perceptual=10.0, perceptual_weights=None)
    trained = {id(v) for v in (*model.generator_variables, *model.discriminator_variables)}
    assert not trained & {id(v) for v in model.perceptual_network.weights}
    model.save(tmp_path / "model.keras")
    monkeypatch.setattr("tf_cyclegan.models.pix2pixhd.vgg19_features", None)
    again = keras.models.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(model.perceptual_network.weights, again.perceptual_network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.perceptual_network.trainable_variables == []
    # A run compares the two to see whether it is resumed with the same settings.
    assert again.get_config() == model.get_config()


# ---- stages ----


def weights_by_part(model):
    """Of the whole generator: the global part, and the enhancers."""
    parts = {"global": [], "enhancer": []}
    for layer in model.generator_network.layers:
        parts["enhancer" if layer.name.startswith("enhancer") else "global"] += layer.trainable_variables
    return {part: [v.numpy() for v in variables] for part, variables in parts.items()}


def changed(before, after):
    return {part: [not np.array_equal(x, y) for x, y in zip(before[part], after[part], strict=True)] for part in before}


@pytest.mark.graph
def test_each_stage_trains_its_part():
    model = small(**STAGES)
    seen = {}
    for epoch, stage in enumerate(("global", "enhancer", "together")):
        before = weights_by_part(model)
        history = fit(model, random_batches(3, size=16), initial_epoch=epoch, epochs=epoch + 1)
        assert model.stage == stage and set(history) == {"loss", *model.loss_names}
        seen[stage] = changed(before, weights_by_part(model))
    assert all(seen["global"]["global"]) and not any(seen["global"]["enhancer"])
    assert all(seen["enhancer"]["enhancer"]) and not any(seen["enhancer"]["global"])
    assert all(seen["together"]["enhancer"]) and all(seen["together"]["global"])


def test_the_first_stage_is_a_global_generator_on_smaller_images():
    model = small(**STAGES)
    outputs = model.forward(BATCH, training=True)
    assert outputs["fake"].shape == (1, 8, 8, 3)
    condition, real = model._judged(BATCH)
    assert condition.shape == real.shape == (1, 8, 8, 3)
    assert model.generator("ab").name == "generator_ab_enlarged"
    wanted = tf.image.resize(outputs["fake"], (16, 16))
    np.testing.assert_allclose(model.translate(BATCH[0]), wanted, atol=1e-6)
    model.stage = "together"
    assert model.generator("ab") is model.generator_network
    assert model.forward(BATCH, training=True)["fake"].shape == (1, 16, 16, 3)


@pytest.mark.graph
def test_a_run_in_pieces_equals_one_without_a_stop(tmp_path):
    # With loss scaling, behind which the optimizers restart.
    data, settings = random_batches(3, size=16), {"dtype": "mixed_float16", "local_residual_blocks": 0, **STAGES}
    whole = small(**settings)
    fit(whole, data, epochs=3)
    keras.utils.set_random_seed(0)
    model = small(**settings)
    # Also in the middle of an epoch, as a run that is interrupted there goes on.
    for epoch, piece in ((0, data), (1, data.take(2)), (1, data.skip(2)), (2, data)):
        fit(model, piece, initial_epoch=epoch, epochs=epoch + 1)
        model.save(tmp_path / "model.keras")
        stage, model = model.stage, keras.models.load_model(tmp_path / "model.keras")
        assert model.stage == stage
    for ours, theirs in zip(whole.variables, model.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    for name in ("generator_optimizer", "discriminator_optimizer"):
        ours, theirs = (getattr(trained, name).variables for trained in (whole, model))
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=one.path)


@pytest.mark.graph
def test_stages_do_not_go_back_when_fit_is_called_again():
    model = small(enhancers=1, stage_epochs=(0, 1))
    assert model.stage == "enhancer"
    fit(model, epochs=2)
    fit(model, random_batches(1, size=16))
    assert model.stage == "together"


@pytest.mark.graph
def test_other_optimizers_go_through_the_stages_too():
    model = small(False, enhancers=1, stage_epochs=(0, 1))
    model.compile(keras.optimizers.SGD(1e-3), "adam")
    fit(model, random_batches(1, size=16), epochs=2, validation_data=random_batches(1, size=16))
    assert model.stage == "together"


# ---- label maps and instance features ----


def test_label_maps_are_told_as_classes_and_edges():
    model = small(**LABELS)
    condition = np.asarray(model._condition(label_images()))
    assert condition.shape == (1, 16, 16, 5)
    np.testing.assert_array_equal(condition[..., :4].sum(-1), 1)
    fit(model, label_batches())
    assert model.generator("ab").input_shape == (None, None, None, 2)
    assert model.discriminators[0].input_shape[-1] == 5 + 3


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_ids_survive_half_precision(policy):
    """Two classes that bfloat16 takes for one are told apart, by every way into the model."""
    model = small(**LABELS | {"label_classes": 200}, dtype=policy, normalization="none", initializer="kaiming")
    maps = [np.full((1, 16, 16, 2), label / 127.5 - 1, "float32") for label in (198, 199)]
    for translate in (model.translate, lambda x: model.predict(x, verbose=0), model.generator("ab")):
        one, other = (np.asarray(translate(x)) for x in maps)
        assert not np.array_equal(one, other)


def test_instance_features_are_trained_then_tabled_then_translated(tmp_path):
    model = small(**FEATURES)
    assert not model.is_finished and "fit_feature_clusters" in model.notes[-1]
    before = [v.numpy() for v in model.encoder_network.trainable_variables]
    fit(model, label_batches())
    for ours, theirs in zip(model.encoder_network.trainable_variables, before, strict=True):
        assert not np.array_equal(ours, theirs)
    images = label_images(2, 20)[:, :19, :17]
    plain = np.asarray(model.translate(images))
    model.fit_feature_clusters(label_batches(4))
    assert model.is_finished and len(model.notes) == 1
    translated = np.asarray(model.translate(images))
    assert translated.shape == (2, 19, 17, 3) and not np.array_equal(translated, plain)
    np.testing.assert_array_equal(model.sample(images, seed=1), model.sample(images, seed=1))
    assert not np.array_equal(model.sample(images, seed=1), model.sample(images, seed=2))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.translate(images), translated)


def test_how_objects_look_is_the_style_of_a_translation():
    model = small(False, **FEATURES)
    model.fit_feature_clusters(label_batches(4))
    maps, photos = label_images(2, 20)[:, :19, :17], random_images(2, 20)[:, :19, :17]
    assert model.style_size == 3 and model.default_style().shape == (4, 3)
    np.testing.assert_array_equal(model.translate(maps, seed=1), model.sample(maps, seed=1))
    style = np.asarray(model.encode_style((maps, photos)))
    for label in np.unique(maps[0, ..., 1]):
        object_style = style[0][maps[0, ..., 1] == label]
        np.testing.assert_array_equal(object_style, object_style[:1].repeat(len(object_style), 0))
    translated = np.asarray(model.translate(maps, style=style))
    assert translated.shape == (2, 19, 17, 3) and not np.array_equal(translated, model.translate(maps))
    even = maps[:, :18, :16], style[:, :18, :16]
    wanted = model.forward((even[0], photos[:, :18, :16]), training=False)["fake"]
    found = model.encode_style((even[0], photos[:, :18, :16]))
    np.testing.assert_allclose(model.translate(even[0], style=found), wanted, atol=1e-5)
    with pytest.raises(ValueError, match="`style` must be a map with 3 channels that `encode_style` made"):
        model.translate(maps, style=style[..., :2])
    with pytest.raises(ValueError, match="`style` must be"):
        model.translate(maps, style=style[:, :9])
    with pytest.raises(ValueError, match="`seed` needs a model with styles"):
        small(False, **LABELS).translate(maps, seed=0)


def test_the_encoder_is_trained_in_every_stage():
    model = small(**FEATURES, **STAGES)
    encoders = {id(v) for v in model.encoder_network.trainable_variables}
    for stage in ("global", "enhancer", "together"):
        model.stage = stage
        assert encoders < {id(v) for v in model.generator_variables}


def test_samples_of_the_first_stage_are_enlarged():
    assert small(**FEATURES, **STAGES).sample(label_images()).shape == (1, 16, 16, 3)


def test_what_needs_instance_features_says_so():
    for call in (lambda m: m.sample(label_images()), lambda m: m.fit_feature_clusters(label_batches())):
        with pytest.raises(ValueError, match="`instance_features`"):
            call(small(False, **LABELS))
    with pytest.raises(ValueError, match="`clusters`.*2.*3"):
        small(False, **FEATURES).fit_feature_clusters(label_batches(), clusters=3)
    with pytest.raises(ValueError, match="`dataset`.*empty"):
        small(False, **FEATURES).fit_feature_clusters([])


def test_label_maps_are_shown_in_colors():
    model = small(False, **LABELS)
    maps = label_images(2)
    shown = model.displayed(maps, "a")
    assert shown.shape == (2, 16, 16, 3) and np.abs(shown).max() <= 1
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == len(np.unique(maps[..., 0]))
    images = random_images(1, 16)
    assert model.displayed(images, "b") is images
    assert small(False).displayed(images, "a") is images


def test_generators_of_label_maps_export(tmp_path):
    model = small(False, **FEATURES)
    images = label_images(2, 20)[:, :19, :17]
    path = export_saved_model(model.generator("ab"), tmp_path / "exported", model.size_multiple, precision="bfloat16")
    exported = tf.saved_model.load(path).signatures["tensor"](image=tf.constant(images))["translated"]
    np.testing.assert_allclose(exported, model.translate(images), atol=0.1)


def test_what_the_first_stage_has_learned_exports(tmp_path):
    model = small(False, **STAGES)
    path = export_saved_model(model.generator("ab"), tmp_path / "exported", model.size_multiple)
    images = random_images(1, 19, 17)
    exported = tf.saved_model.load(path).signatures["tensor"](image=tf.constant(images))["translated"]
    np.testing.assert_allclose(exported, model.translate(images), atol=1e-5)


# ---- settings ----


def test_own_networks_are_used_and_saved(tmp_path):
    own = resnet_generator((None, None, 3), filters=2, residual_blocks=0)
    model = small(generator_network=own, scales=1)
    fit(model)
    assert model.generator("ab") is own
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.translate(BATCH[0]), model.translate(BATCH[0]))


@pytest.mark.parametrize(
    "settings", [{}, {**FEATURES, **STAGES, "dtype": "mixed_bfloat16"}, {"direction": "ba", "pool_size": 2}]
)
def test_configs_come_back(settings):
    config = small(False, **settings).get_config()
    assert json.loads(json.dumps(Pix2PixHD.from_config(config).get_config())) == config


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_shape": (15, 16, 3)},
        {"direction": "sideways"},
        {"gan_mode": "wgangp"},
        {"enhancers": -1},
        {"scales": 0},
        {"downsamplings": 0},
        {"channels_b": 0},
        {"label_classes": 2.5},
        {"label_classes": 35},
        {"instance_edges": True},
        {"instance_features": 3},
        {"feature_clusters": 0},
        {"stage_epochs": (1, 1)},
        {"stage_epochs": 3},
        {"lambda_adversarial": -1.0},
        {"lambda_feature_matching": "much"},
        {"pool_size": -1},
    ],
)
def test_wrong_settings_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"(?s)`{name}`") as error:
        small(False, **wrong)
    assert str(value) in str(error.value)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"image_shape": (40, 40, 3), "downsamplings": 4}, "multiples of 16, at least 32.*`downsamplings`"),
        ({"image_shape": (16, 16, 1), **{k: v for k, v in LABELS.items() if k != "image_shape"}}, "`instance_edges`"),
        ({**LABELS, "direction": "ba"}, "`label_classes`.*'ab'"),
        ({"pool_size": 2, **STAGES}, "`pool_size`.*`stage_epochs`"),
        ({"lambda_perceptual": 1.0, "channels_b": 4}, "`lambda_perceptual`.*4 channels"),
        ({"lambda_adversarial": 0, "lambda_feature_matching": 0}, "must not all be 0"),
    ],
)
def test_settings_that_do_not_fit_together(settings, words):
    with pytest.raises(ValueError, match=words):
        small(False, **settings)


def test_stages_need_networks_that_are_known():
    own = resnet_generator((None, None, 3), filters=2, residual_blocks=0)
    with pytest.raises(ValueError, match="`stage_epochs`.*`generator_network`"):
        small(False, generator_network=own, **STAGES)


def test_a_discriminator_without_features_is_refused():
    judge = patchgan_discriminator((None, None, 6), filters=2, layers=1)
    with pytest.raises(ValueError, match="`discriminator_network`"):
        small(False, discriminator_network=judge)
