"""What users of Keras expect of any model: frozen layers, own networks, images as loaders give them, export."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, random_batches, random_images
from test_contract import small

from tf_cyclegan import UNIT, CycleGAN, Pix2Pix, Pix2PixHD

pytestmark = pytest.mark.eager

SMALLEST = {**SMALL, "residual_blocks": 1}


# ---- frozen networks and layers ----


def freeze_network(model):
    model.generator_ab.trainable = False


def freeze_layers(model):
    model.generator_ab.layers[3].trainable = model.discriminator_a.layers[2].trainable = False


def trained_names(model):
    return [variable.path for variable in model.trainable_variables]


def optimizer_values(model):
    return [v.numpy() for o in (model.generator_optimizer, model.discriminator_optimizer) for v in o.variables]


@pytest.mark.parametrize("freeze", [freeze_network, freeze_layers])
@pytest.mark.parametrize("when", ["before compile", "after compile", "thawed after compile"])
def test_what_is_frozen_stays_so_with_the_moments_of_the_rest(freeze, when, tmp_path):
    model = CycleGAN(**SMALLEST)
    if when != "after compile":
        freeze(model)
    model.compile()
    if when == "after compile":
        freeze(model)
    model.train_on_batch(*next(iter(random_batches(1))))
    if when == "thawed after compile":
        model.generator_ab.trainable = model.discriminator_a.trainable = True
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipping variable loading")
        again = keras.models.load_model(tmp_path / "model.keras")
    assert trained_names(again) == trained_names(model)
    for ours, theirs in zip(optimizer_values(model), optimizer_values(again), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_frozen_as_a_whole_stays_so():
    model = small("brightness")
    assert "frozen" not in model.get_config()
    model.trainable = False
    assert type(model).from_config(model.get_config()).trainable_variables == []


# ---- what is no batch of images in [-1, 1] ----

WAYS = {
    "fit": lambda model, images: model.fit(images, images, verbose=0),
    "evaluate": lambda model, images: model.evaluate(images, images, verbose=0),
    "predict": lambda model, images: model.predict(images, verbose=0),
    "translate": lambda model, images: model.translate(images),
}
ways = pytest.mark.parametrize("way", WAYS)


@ways
def test_integers_are_refused_by_name(way):
    images = (127.5 * random_images() + 127.5).astype("uint8")
    with pytest.raises(ValueError, match=r"`images(_a)?` must be floats in \[-1, 1\].*uint8"):
        WAYS[way](small("brightness"), images)


@ways
def test_an_image_without_a_batch_axis_is_told_so(way):
    with pytest.raises(ValueError, match=r"`images(_a)?` must have the axes \(batch, height, width, channels\)"):
        WAYS[way](small("brightness"), random_images()[0])


@pytest.mark.graph
@pytest.mark.parametrize("way", ["fit", "evaluate", "translate"])
def test_values_that_no_image_has_are_told_once(way):
    model, images = small("brightness"), 127.5 * random_images(3) + 127.5
    batches = tf.data.Dataset.from_tensor_slices((images, random_images(3))).batch(1)
    with pytest.warns(UserWarning, match=r"`images(_a)?` should be in \[-1, 1\].*up to 25\d") as told:
        WAYS[way](model, images) if way == "translate" else getattr(model, way)(batches, verbose=0)
    assert len([each for each in told if "images_b" in str(each.message)]) == 0
    assert len([each for each in told if "should be" in str(each.message)]) == 1


@pytest.mark.graph
def test_images_as_they_should_be_are_passed_in_silence():
    model = small("brightness")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*should be in")
        model.fit(random_batches(1), validation_data=random_batches(1), verbose=0)
        model.translate(random_images())


def test_numbers_of_classes_may_be_integers_beyond_the_range():
    model = Pix2PixHD(
        (32, 32, 1), label_classes=9, filters=4, downsamplings=1, residual_blocks=1, discriminator_filters=4,
        discriminator_layers=1, scales=1, lambda_perceptual=0.0, instance_edges=False,
    )  # fmt: skip
    model.compile()
    labels = np.full((1, 32, 32, 1), 8, "uint8")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*should be in")
        model.fit(labels, random_images(), verbose=0)
        np.testing.assert_array_equal(model.translate(labels), model.translate(labels.astype("float32")))


# ---- own networks that wait for their first images ----


def layers_of(channels):
    return [keras.layers.Conv2D(2, 3, padding="same"), keras.layers.Conv2D(channels, 3, padding="same")]


@keras.saving.register_keras_serializable(package="tests")
class Own(keras.Model):
    def __init__(self, channels=3, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.parts = channels, layers_of(channels)

    def call(self, images, training=False):
        for part in self.parts:
            images = part(images)
        return images

    def get_config(self):
        return {"channels": self.channels, "name": self.name}


def sequential(channels=3):
    return keras.Sequential(layers_of(channels))


def new_codes():
    return keras.Sequential([keras.layers.Conv2D(16, 4, strides=4)])


def new_images():
    return keras.Sequential([keras.layers.Conv2DTranspose(1, 4, strides=4)])


TO_GRAY = {**SMALLEST, "channels_b": 1, "lambda_identity": 0.0}
UNBUILT = {
    "cyclegan": lambda new: CycleGAN(**TO_GRAY, generator_ab=new(1), generator_ba=new(3)),
    "cyclegan judges": lambda new: CycleGAN(**TO_GRAY, discriminator_a=new(1), discriminator_b=new(1)),
    "pix2pix": lambda new: Pix2Pix(
        **SMALL, downsamplings=2, channels_b=1, direction="ba", generator_network=new(3), discriminator_network=new(1)
    ),
    "pix2pixhd": lambda new: Pix2PixHD(
        **SMALL,
        channels_b=1,
        generator_network=new(1),
        discriminator_network=new(1),
        lambda_feature_matching=0.0,
        lambda_perceptual=0.0,
        downsamplings=1,
        scales=1,
    ),
    "unit codes": lambda new: UNIT(
        **SMALLEST, channels_b=1, encoder_a=new_codes(), decoder_b=new_images(), discriminator_layers=2, scales=1
    ),
    "unit judges": lambda new: UNIT(**SMALLEST, channels_b=1, discriminator_a=new(1), discriminator_b=new(1)),
}


@pytest.mark.parametrize("new", [sequential, Own])
@pytest.mark.parametrize("name", UNBUILT)
def test_networks_that_are_not_built_are_built_for_the_images(name, new, tmp_path):
    model = UNBUILT[name](new)
    model.compile()
    model.fit(random_batches(1, channels_b=1), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---- names of measures, and Keras's export ----


def test_each_measure_has_its_name_once():
    model = small("brightness")
    values = model.evaluate(random_batches(1), verbose=0)
    assert len(set(model.metrics_names)) == len(model.metrics_names) == len(values)
    named = model.evaluate(random_batches(1), verbose=0, return_dict=True)
    assert dict(zip(model.metrics_names, values, strict=True)) == pytest.approx(named)


@pytest.mark.parametrize("fitted", [False, True])
def test_keras_exports_what_the_model_translates(fitted, tmp_path):
    model = small("brightness")
    if fitted:
        model.fit(random_batches(1), verbose=0)
    model.export(tmp_path / "exported", verbose=False)
    images = random_images(2, 33, 38)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(images), model.translate(images), atol=1e-6)


def test_one_way_models_translate_their_way():
    model = Pix2Pix(**SMALL, downsamplings=2, channels_b=1, direction="ba")
    np.testing.assert_array_equal(
        model.translate(random_images(channels=1)), model.translate(random_images(channels=1), "ba")
    )
