"""What every model promises, over all that are registered."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, random_batches, random_images

from tf_cyclegan.export import export_saved_model
from tf_cyclegan.models import MODELS, losses
from tf_cyclegan.models.image_pool import ImagePool
from tf_cyclegan.models.roles import Paired, TwoWay
from tf_cyclegan.training.callbacks import Snapshot

# As small as a model's settings allow, where `SMALL` does not do.
SMALLER = {
    "cyclegan": {"residual_blocks": 1},
    "pix2pix": {"downsamplings": 3},
    "pix2pixhd": {"downsamplings": 1, "residual_blocks": 1, "discriminator_layers": 1, "lambda_perceptual": 0.0},
    "unit": {"residual_blocks": 1, "discriminator_layers": 2, "scales": 1},
    "brightness": {},
}


@keras.saving.register_keras_serializable(package="tests")
class Brightness(Paired):
    """A model of few lines: one gain for each channel, learned from pairs, judged by their mean."""

    direction = "ab"
    loss_names = ("adversarial_ab", "discriminator_b", "l1_ab")

    def __init__(self, image_shape=(32, 32, 3), filters=1, discriminator_filters=1, pool_size=0, name=None, dtype=None):
        super().__init__(name, dtype)
        self.image_shape, self.filters = tuple(image_shape), filters
        self.discriminator_filters, self.pool_size = discriminator_filters, pool_size
        any_size = keras.Input((None, None, image_shape[-1]))
        gain = keras.layers.DepthwiseConv2D(1, dtype=self.dtype_policy)(any_size)
        image = keras.layers.Activation("tanh", dtype="float32")(gain)
        self.generator_network = keras.Model(any_size, image, name="generator_ab")
        score = keras.layers.Conv2D(1, 4, dtype=self.dtype_policy)(any_size)
        self.discriminator_network = keras.Model(any_size, score, name="discriminator_b")
        self.pool = ImagePool(pool_size, name="pool_b")
        self.pool.build((None, *image_shape))
        self.build()

    def forward(self, batch, training):
        return {"fake_b": self.generator_network(batch[0], training=training)}

    def generator_losses(self, batch, outputs, training=True):
        adversarial = losses.generator_adversarial_loss(self.discriminator_network(outputs["fake_b"]))
        return {"adversarial_ab": adversarial, "l1_ab": losses.reconstruction_loss(batch[1], outputs["fake_b"])}

    def discriminator_losses(self, batch, outputs, training=True):
        scores = map(self.discriminator_network, (batch[1], outputs["fake_b"]))
        return {"discriminator_b": losses.discriminator_adversarial_loss(*scores)}


@keras.saving.register_keras_serializable(package="tests")
class DefaultStyle(keras.layers.Layer):
    """The same style for each image of a batch."""

    def build(self, input_shape):
        self.style = self.add_weight(shape=(2,), initializer="random_normal", trainable=False, name="style")

    def call(self, images):
        return tf.broadcast_to(self.style, (tf.shape(images)[0], 2))


@keras.saving.register_keras_serializable(package="tests")
class Tint(TwoWay):
    """A model with all that a model may have beside: labels, styles, an auxiliary network, a measure, an average."""

    takes_labels = True
    style_size = 2
    loss_names = ("discriminator_a", "discriminator_b", "l1_ab", "style_b")
    measure_names = ("share_of_first_b",)

    def __init__(self, image_shape=(32, 32, 3), name=None, dtype=None):
        super().__init__(name, dtype)
        self.image_shape = tuple(image_shape)
        image, style = keras.Input((None, None, 3)), keras.Input((2,))
        tint = keras.layers.Reshape((1, 1, 3))(keras.layers.Dense(3)(style))
        self.tinting = keras.Model([image, style], keras.layers.Add()([image, tint]), name="tinting")
        self.styles = DefaultStyle()
        self.generator_ab = keras.Model(image, self.tinting([image, self.styles(image)]), name="generator_ab")
        # Both directions share all their weights, which have one place in the optimizer.
        self.generator_ba = keras.Model(image, self.tinting([image, self.styles(image)]), name="generator_ba")
        style = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image))
        self.encoder = keras.Model(image, style, name="encoder")
        self.discriminator_a, self.discriminator_b = (
            keras.Model(image, keras.layers.Conv2D(1, 4)(image), name=f"discriminator_{domain}") for domain in "ab"
        )
        self.average = self.add_weight(shape=(2, 3), initializer="zeros", trainable=False, name="average")
        self.build()

    @property
    def auxiliaries(self):
        return [self.encoder]

    def styled_generator(self, direction):
        return self.tinting

    def encode_style(self, examples, direction=None):
        return tf.reduce_mean(self.encoder(examples), axis=0)

    def default_style(self, direction=None):
        return self.styles.style

    def forward(self, batch, training):
        (images_a, _), (images_b, _) = batch
        return {"fake_a": self.generator_ba(images_b), "fake_b": self.tinting([images_a, self.encoder(images_b)])}

    def discriminator_inputs(self, outputs):
        return outputs

    def generator_losses(self, batch, outputs, training=True):
        (_, _), (images_b, _) = batch
        style = losses.reconstruction_loss(self.encoder(images_b), self.encoder(outputs["fake_b"]))
        return {"l1_ab": losses.reconstruction_loss(images_b, outputs["fake_b"]), "style_b": style}

    def discriminator_losses(self, batch, outputs, training=True):
        judges = {domain: getattr(self, f"discriminator_{domain}") for domain in "ab"}
        return {
            f"discriminator_{domain}": losses.discriminator_adversarial_loss(
                judge(real), judge(outputs[f"fake_{domain}"])
            )
            for (domain, judge), (real, _) in zip(judges.items(), batch, strict=True)
        }

    def measures(self, batch, outputs, training=True):
        return {"share_of_first_b": tf.reduce_mean(tf.cast(batch[1][1] == 0, "float32"))}

    def after_step(self):
        self.average.assign_add(0.5 * (self.tinting.trainable_variables[0] - self.average))


ALL = {**MODELS, "brightness": Brightness}
models = pytest.mark.parametrize("name", ALL)
# Loss scaling, which is float16's difference, is the base class's.
_PAIRS = [*((name, policy) for policy in ("float32", "mixed_bfloat16") for name in ALL), ("cyclegan", "mixed_float16")]
# Of the module, as `trained` is: the tests of a pair follow each other, and its train step is traced once.
models_and_policies = pytest.mark.parametrize("name, policy", _PAIRS, scope="module")


def small(name, **settings):
    model = ALL[name](**{**SMALL, **SMALLER[name], **settings})
    model.compile()
    return model


@pytest.fixture(scope="module")
def trained(name, policy):
    """A model after four steps, and what `fit` told of them."""
    keras.utils.set_random_seed(0)
    model = small(name, dtype=policy)
    fit = model.fit(random_batches(2), validation_data=random_batches(1), epochs=2, verbose=0, shuffle=False)
    return model, fit.history


@models_and_policies
def test_trains_evaluates_and_translates(name, policy, trained):
    model, history = trained
    expected = {"loss", *model.loss_names}
    assert set(history) == expected | {f"val_{key}" for key in expected}
    assert all(np.isfinite(values).all() for values in history.values())
    assert set(model.evaluate(random_batches(1), verbose=0, return_dict=True)) == expected
    for direction in model.directions:
        translated = np.asarray(model.translate(random_images(2, 24, 36), direction))
        assert translated.shape == (2, 24, 36, 3) and translated.dtype == np.float32
        assert np.abs(translated).max() <= 1
    assert int(model.step) == 4


@pytest.mark.eager
@models
def test_the_loss_is_the_sum_of_the_generators_terms(name):
    model = small(name)
    logs = model.train_on_batch(*next(iter(random_batches(1))), return_dict=True)
    # The sum differs from the objective by what the two optimizers minimize apart.
    terms = [
        value for key, value in logs.items() if key != "loss" and not key.startswith(("discriminator", "gradient"))
    ]
    assert logs["loss"] == pytest.approx(sum(terms), rel=1e-5)


@pytest.mark.eager
@models
def test_both_optimizers_move_all_their_weights(name):
    model = small(name)
    before = {w.path + str(i): w.numpy() for i, w in enumerate(model.trainable_variables)}
    model.fit(random_batches(1), verbose=0, shuffle=False)
    still = [w.path for i, w in enumerate(model.trainable_variables) if np.array_equal(w, before[w.path + str(i)])]
    assert still == []


@models_and_policies
def test_what_is_loaded_trains_on_as_if_never_stopped(name, policy, trained, tmp_path):
    model, _ = trained
    # As checkpoints are made: of this step, but written after later ones.
    snapshot = Snapshot(model)
    model.fit(random_batches(3), verbose=0, shuffle=False)
    snapshot.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.dtype_policy.name == policy
    assert int(again.step) == 4
    again.fit(random_batches(3), verbose=0, shuffle=False)
    for ours, theirs in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    for optimizer in ("generator_optimizer", "discriminator_optimizer"):
        ours, theirs = (getattr(trained, optimizer).variables for trained in (model, again))
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=one.path)


@models
def test_config_comes_back(name):
    model = small(name, dtype="mixed_bfloat16")
    config = json.loads(json.dumps(model.get_config()))
    assert json.loads(json.dumps(ALL[name].from_config(config).get_config())) == config


def test_saved_models_open_in_a_fresh_process(tmp_path):
    np.save(tmp_path / "images.npy", random_images(1))
    for name in MODELS:
        model = small(name)
        model.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", model.translate(random_images(1)))
    code = (
        "import keras, numpy as np, tf_cyclegan\n"
        f"for name in {list(MODELS)}:\n"
        "    model = keras.models.load_model(f'{name}.keras')\n"
        "    np.testing.assert_array_equal(model.translate(np.load('images.npy')), np.load(f'{name}.npy'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


# ---- what a model may have beside ----


def labeled_batches(count=2):
    labels = np.arange(count) % 2
    pairs = [(random_images(count, seed=seed), labels) for seed in (1, 2)]
    return tf.data.Dataset.from_tensor_slices(tuple(pairs)).batch(1)


def tint():
    model = Tint()
    model.compile()
    return model


@pytest.mark.graph
def test_measures_are_logged_and_averages_made_after_each_step(tmp_path):
    model = tint()
    before = [variable.numpy() for variable in model.generator_variables]
    assert len({id(variable) for variable in model.generator_variables}) == len(before) == 4
    history = model.fit(labeled_batches(), validation_data=labeled_batches(), verbose=0, shuffle=False).history
    assert history["share_of_first_b"] == history["val_share_of_first_b"] == [0.5]
    assert history["loss"][0] == pytest.approx(history["l1_ab"][0] + history["style_b"][0], rel=1e-5)
    assert not any(map(np.array_equal, before, model.generator_variables)), "the auxiliary network is trained too"
    assert np.any(model.average)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, again):
        each.fit(labeled_batches(), verbose=0, shuffle=False)
    for ours, theirs in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def test_a_style_is_given_found_in_examples_or_drawn():
    model, images, style = tint(), random_images(2, 30, 33), np.array([0.3, -0.2], "float32")
    plain = model.translate(images)
    np.testing.assert_allclose(model.translate(images, style=model.default_style()), plain, atol=1e-6)
    translated = model.translate(images, "ba", style=style)
    np.testing.assert_allclose(model.styled_generator("ba")([images, np.stack([style] * 2)]), translated, atol=1e-6)
    examples = random_images(3, seed=5)
    found = model.translate(images, style=model.encode_style(examples))
    np.testing.assert_array_equal(model.translate(images, style=examples), found)
    each = model.translate(images, style=np.stack([examples, -examples]))
    np.testing.assert_array_equal(each[0], found[0])
    assert not np.array_equal(each[1], found[1])
    np.testing.assert_array_equal(model.translate(images, seed=1), model.translate(images, seed=1))
    assert not np.array_equal(model.translate(images, seed=1), model.translate(images, seed=2))
    with pytest.raises(ValueError, match="`style` and `seed` must not both"):
        model.translate(images, style=style, seed=1)
    with pytest.raises(ValueError, match="`style` must be 2 numbers"):
        model.translate(images, style=np.zeros((3, 2)))


@models
def test_a_model_without_styles_says_so(name):
    model, images = small(name), random_images()
    assert model.style_size == 0
    refused = {
        "style": lambda: model.translate(images, style=images),
        "seed": lambda: model.translate(images, seed=0),
        "styled_generator": lambda: model.styled_generator(model.directions[0]),
        "encode_style": lambda: model.encode_style(images),
        "default_style": lambda: model.default_style(),
    }
    for argument, call in refused.items():
        with pytest.raises(ValueError, match=f"`{argument}` needs a model with styles"):
            call()


@models
def test_a_batch_is_as_the_model_says(name):
    model = small(name)
    data = next(iter(random_batches(1)))
    for spec, images in zip(model.batch_spec((32, 32), 1), model.unpack(data), strict=True):
        assert spec.is_compatible_with(images)
    with pytest.raises(ValueError, match="`images_a` must be images alone, without labels"):
        model.unpack(((data[0], np.zeros(1, "int32")), data[1]))


def test_labels_belong_to_a_batch_where_the_model_says_so():
    model = tint()
    spec = model.batch_spec((32, 32))
    assert [[each.shape.rank for each in domain] for domain in spec] == [[4, 1], [4, 1]]
    images = random_images()
    with pytest.raises(ValueError, match="`images_a` must be a pair of images and their labels"):
        model.unpack((images, images))
    with pytest.raises(ValueError, match="`labels_b` must be integers"):
        model.unpack(((images, np.zeros(1, "int64")), (images, np.zeros((1, 3)))))


@models
def test_odd_sizes_are_mirrored_and_cropped_back(name):
    model = small(name)
    images = random_images(1, 33, 38)
    down, right = -33 % model.size_multiple, -38 % model.size_multiple
    padded = np.pad(images, ((0, 0), (0, down), (0, right), (0, 0)), "symmetric")
    want = np.asarray(model.translate(padded))[:, :33, :38]
    # A graph may sum in another order than eager calls.
    np.testing.assert_allclose(model.translate(images), want, atol=1e-5)
    np.testing.assert_allclose(model.predict(images, verbose=0), want, atol=1e-5)


@models
def test_images_too_small_to_be_mirrored_are_named(name):
    model = small(name)
    side = model.smallest_side
    assert np.asarray(model.translate(random_images(1, side + 1))).shape[1] == side + 1
    with pytest.raises(ValueError, match=f"`images`.*at least {side}"):
        model.translate(random_images(1, side - 1))


@models
def test_unknown_directions_are_named(name):
    with pytest.raises(ValueError, match="`direction`.*'sideways'"):
        small(name).translate(random_images(), "sideways")


@models
def test_a_generator_exports_as_a_network_of_its_own(name, tmp_path):
    model = small(name)
    direction = model.directions[-1]
    path = export_saved_model(model.generator(direction), tmp_path / "exported", model.size_multiple)
    images = random_images(2, 33, 38)
    exported = tf.saved_model.load(path).signatures["tensor"](image=tf.constant(images))["translated"]
    np.testing.assert_allclose(exported, model.translate(images, direction), atol=1e-5)


@models
def test_what_is_displayed_is_an_image(name):
    model = small(name)
    shown = np.asarray(model.displayed(random_images(2), "a"))
    assert shown.shape[:3] == (2, 32, 32) and shown.shape[3] in (1, 3) and np.abs(shown).max() <= 1


@models
def test_summary_shows_networks_and_pools_apart(name):
    lines = []
    small(name).summary(print_fn=lines.append)
    text = "".join(lines)
    assert "generator_ab" in text and "discriminator_b" in text and "pool_b" in text


# ---- stock callbacks, with two optimizers ----


def test_reduce_lr_on_plateau_moves_both_rates():
    model = small("cyclegan")
    model.discriminator_optimizer.learning_rate = 1e-4
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=1, min_delta=1e9)
    model.fit(
        random_batches(1), validation_data=random_batches(1), epochs=4, callbacks=[plateau], verbose=0, shuffle=False
    )
    generator, discriminator = (
        float(optimizer.learning_rate) for optimizer in (model.generator_optimizer, model.discriminator_optimizer)
    )
    assert generator < 3e-5
    assert discriminator / generator == pytest.approx(0.5, rel=0.01) or discriminator / generator == pytest.approx(
        5, rel=0.01
    )


def test_rates_stay_as_set_to_the_bit():
    model = small("cyclegan")
    model.generator_optimizer.learning_rate, model.discriminator_optimizer.learning_rate = 3e-4, 7e-5
    model.compile(model.generator_optimizer, model.discriminator_optimizer)
    model.fit(random_batches(3), verbose=0, shuffle=False)
    assert np.float32(model.generator_optimizer.learning_rate) == np.float32(3e-4)
    assert np.float32(model.discriminator_optimizer.learning_rate) == np.float32(7e-5)


def rates_after_a_step(model, rate):
    """Both rates, when a callback has set `rate` and a step has been made."""
    model.optimizer.learning_rate = rate
    model.train_on_batch(*next(iter(random_batches(1))))
    return [float(optimizer.learning_rate) for optimizer in (model.optimizer, model.discriminator_optimizer)]


@pytest.mark.eager
def test_a_rate_of_zero_does_not_part_the_two(tmp_path):
    model = small("brightness")
    model.discriminator_optimizer.learning_rate = 1e-4
    assert rates_after_a_step(model, 0.0) == [0, 0]
    model.save(tmp_path / "model.keras")
    for each in (model, keras.models.load_model(tmp_path / "model.keras")):
        assert rates_after_a_step(each, 4e-4) == pytest.approx([4e-4, 2e-4])


@pytest.mark.eager
def test_rates_that_begin_at_zero_rise_together():
    model = small("brightness")
    model.compile(keras.optimizers.Adam(0.0), keras.optimizers.Adam(0.0))
    assert rates_after_a_step(model, 0.0) == [0, 0]
    assert rates_after_a_step(model, 3e-4) == pytest.approx([3e-4, 3e-4])


@pytest.mark.eager
@pytest.mark.parametrize("moment", ["compile", "fit"])
def test_a_rate_beside_one_of_zero_is_left_alone(moment, tmp_path):
    model = small("brightness")
    model.compile(keras.optimizers.Adam(0.0), keras.optimizers.Adam(2e-4 if moment == "compile" else 0.0))
    if moment == "fit":
        assert rates_after_a_step(model, 0.0) == [0, 0]
        model.discriminator_optimizer.learning_rate = 2e-4
        assert rates_after_a_step(model, 0.0) == pytest.approx([0, 2e-4])
    for rate in (1e-5, 2e-5, 2e-4, 1e-4):  # a warm-up and what comes after it
        assert rates_after_a_step(model, rate) == pytest.approx([rate, 2e-4])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert rates_after_a_step(loaded, 5e-5) == pytest.approx([5e-5, 2e-4])
    loaded.compile(keras.optimizers.Adam(2e-4), keras.optimizers.Adam(1e-4))
    assert rates_after_a_step(loaded, 1e-4) == pytest.approx([1e-4, 5e-5])


@pytest.mark.eager
def test_rates_that_are_both_set_after_zero_follow_each_other():
    model = small("brightness")
    assert rates_after_a_step(model, 0.0) == [0, 0]
    model.discriminator_optimizer.learning_rate = 1e-4
    assert rates_after_a_step(model, 4e-4) == pytest.approx([4e-4, 1e-4])
    assert rates_after_a_step(model, 2e-4) == pytest.approx([2e-4, 5e-5])


def test_models_saved_without_the_quotient_of_rates_load():
    model, store = small("brightness"), {}
    model.save_own_variables(store)
    model.load_own_variables({key: value for key, value in store.items() if key != "2"})
    assert float(model._rate_quotient) == 1.0


class _StopAfter(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise InterruptedError


@pytest.mark.eager
def test_backup_and_restore_brings_back_everything(tmp_path):
    whole = small("cyclegan")
    whole.fit(random_batches(2), epochs=4, verbose=0, shuffle=False)
    keras.utils.set_random_seed(0)
    broken = small("cyclegan")
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(InterruptedError):
        broken.fit(random_batches(2), epochs=4, callbacks=[backup, _StopAfter()], verbose=0, shuffle=False)
    keras.utils.set_random_seed(1)
    resumed = small("cyclegan")
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    resumed.fit(random_batches(2), epochs=4, callbacks=[backup], verbose=0, shuffle=False)
    for ours, theirs in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def test_model_checkpoint_and_tensorboard(tmp_path):
    model = small("cyclegan")
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
        keras.callbacks.TensorBoard(tmp_path / "logs"),
    ]
    model.fit(random_batches(1), validation_data=random_batches(1), callbacks=callbacks, verbose=0, shuffle=False)
    assert keras.models.load_model(tmp_path / "best.keras").compiled
    assert list((tmp_path / "logs").rglob("events*"))
