"""Functions that several models share: making generators, discriminators and pools, and checks of settings."""

import keras
import tensorflow as tf

from tf_cyclegan.models.augmentation import check_fill
from tf_cyclegan.models.image_pool import ImagePool
from tf_cyclegan.networks import (
    four_stride_discriminator,
    patchgan_discriminator,
    pixel_discriminator,
    resnet_generator,
    unet_generator,
)
from tf_cyclegan.networks.blocks import check_image_shape
from tf_cyclegan.settings.checks import check_choice, check_integer, check_weight
from tf_cyclegan.settings.user_errors import renamed

# The builder of each generator, and the settings that only this builder has.
GENERATORS = {
    "resnet": (resnet_generator, ("residual_blocks", "padding", "convolution_padding")),
    "unet": (unet_generator, ("dropout_placement", "full_size_skip")),
}
# Most and fewest halvings of a U-Net: pix2pix halves 256 pixels 8 times, to one pixel; below 5 it is another network.
_UNET_DOWNSAMPLINGS = (8, 5)
_RESNET_DOWNSAMPLINGS = 2
# The largest side that `smallest_judged_side` tries.
_LARGEST_LEAST = 512

DISCRIMINATORS = {
    "patch": patchgan_discriminator,
    "pixel": pixel_discriminator,
    "four_stride": four_stride_discriminator,
}

# The arguments of builders of discriminators, and the settings of a model for them.
DISCRIMINATOR_SETTINGS = {"filters": "discriminator_filters", "layers": "discriminator_layers"}

# Layers whose output for an image does not depend on the other images of a batch.
_PER_IMAGE_LAYERS = (
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.Concatenate,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Dropout,
    keras.layers.InputLayer,
    keras.layers.LeakyReLU,
    keras.layers.ReLU,
    keras.layers.UpSampling2D,
    keras.layers.ZeroPadding2D,
)


def new_generator(model, channels, output_channels, name):
    """A generator for images of any size, made from the settings of a model.

    Args:
        model: `TranslationModel` with `generator_type`, `filters`, `downsamplings`, `normalization`, `dropout`,
            `upsampling`, `initializer` and, where it has them, the other settings of the builder.
        channels: int, channels of the images that the generator takes.
        output_channels: int, channels of the images that the generator makes.
        name: str.
    """
    builder, own = GENERATORS[model.generator_type]
    settings = ("filters", "downsamplings", "normalization", "dropout", "upsampling", "initializer")
    settings += tuple(setting for setting in (*own, "inference_statistics") if hasattr(model, setting))
    return builder(
        (None, None, channels),
        output_channels,
        **{setting: getattr(model, setting) for setting in settings},
        name=name,
        dtype=model.dtype_policy,
    )


def checked_downsamplings(generator_type, downsamplings, image_shape):
    """How often a generator halves its images: as given; else 2 for a ResNet, and the most that fit for a U-Net.

    Args:
        generator_type: one of `GENERATORS`.
        downsamplings: int, or None.
        image_shape: `(height, width, channels)`, height and width perhaps None.

    Raises:
        ValueError: if the images cannot be halved so often, or `image_shape` does not tell how often a U-Net can.
    """
    if generator_type == "resnet":
        downsamplings = _RESNET_DOWNSAMPLINGS if downsamplings is None else downsamplings
        check_integer("downsamplings", downsamplings, 1)
        check_image_shape(image_shape, 2**downsamplings, 2 * 2**downsamplings)
        return downsamplings
    sides = [side for side in image_shape[:2] if side is not None]
    most, least = _UNET_DOWNSAMPLINGS
    if downsamplings is None and not sides:
        raise ValueError(
            "`downsamplings` must be given for a U-Net if `image_shape` has no height and width; or take "
            f"`generator_type='resnet'`. Received: image_shape={image_shape}"
        )
    if downsamplings is None:
        fitting = [n for n in range(most, 1, -1) if not any(side % 2**n for side in sides)]
        downsamplings = max(fitting, default=0)
        if downsamplings < least:
            raise ValueError(
                f"`image_shape` must have a height and width that are multiples of {2**least}, to be halved at "
                f"least {least} times by a U-Net; or give `downsamplings`, or take `generator_type='resnet'`. "
                f"Received: image_shape={image_shape}"
            )
    check_integer("downsamplings", downsamplings, 2)
    if any(side % 2**downsamplings for side in sides):
        raise ValueError(
            f"`image_shape` must have a height and width that are multiples of {2**downsamplings} for "
            f"`downsamplings` of {downsamplings}. Received: image_shape={image_shape}"
        )
    return downsamplings


def smallest_judged_side(discriminators, size_multiple):
    """Smallest multiple of `size_multiple`, in pixels, for which each discriminator has a score."""
    sides = range(size_multiple, _LARGEST_LEAST + 1, size_multiple)
    fitting = (side for side in sides if all(_has_a_score(network, side) for network in discriminators))
    return next(fitting, size_multiple)


def _has_a_score(network, side):
    """Whether a discriminator has a score for images of this height and width."""
    if not hasattr(network, "operations"):  # unknown for a network of a user's own class
        return True
    try:
        network.compute_output_shape((1, side, side, network.input_shape[-1]))
    except ValueError:  # a convolution is left without a pixel
        return False
    return True


def new_discriminator(model, image_shape, name):
    """A discriminator, made from the settings of a model.

    Args:
        model: `TranslationModel` with `discriminator_type`, `discriminator_filters`, `discriminator_layers`,
            `normalization` and `initializer`; for patches optionally `convolution_padding`.
        image_shape: `(height, width, channels)` of the images that the discriminator judges.
        name: str.
    """
    patch_settings = {}
    if model.discriminator_type == "patch":
        padding = getattr(model, "convolution_padding", "explicit")
        patch_settings = {"layers": model.discriminator_layers, "convolution_padding": padding}
    with renamed(**DISCRIMINATOR_SETTINGS):
        return DISCRIMINATORS[model.discriminator_type](
            image_shape,
            filters=model.discriminator_filters,
            normalization=model.normalization,
            initializer=model.initializer,
            name=name,
            dtype=model.dtype_policy,
            **patch_settings,
        )


def build_network(network, image_shape):
    """Builds a given network for images of this shape, unless it is built.

    Args:
        network: `keras.Model`, or None.
        image_shape: `(height, width, channels)` of the images that the network takes, height and width perhaps None.

    Returns:
        The network.
    """
    if network is not None and not network.built:
        network(keras.KerasTensor((None, *image_shape), "float32"))
    return network


def call_together(network, batches, training):
    """The outputs of a network for several batches of images, in one call where that changes no output.

    One call is faster: it computes the gradients of the weights once, over more images. The network is called for each
    batch if sizes differ or are unknown, or if an output may depend on the other images of a batch.

    Args:
        network: `keras.Model` with tensors of images, or lists of them, as outputs.
        batches: list of float tensors `(batch, height, width, channels)`.
        training: bool.

    Returns:
        List of the outputs for each batch.
    """
    shapes = {tuple(batch.shape[1:]) for batch in batches}
    if len(shapes) > 1 or None in shapes.pop() or not _keeps_images_apart(network):
        return [network(batch, training=training) for batch in batches]
    sizes = [batch.shape[0] or tf.shape(batch)[0] for batch in batches]
    outputs = network(tf.concat([tf.cast(batch, batches[0].dtype) for batch in batches], axis=0), training=training)
    split = [tf.split(output, sizes) for output in tf.nest.flatten(outputs)]
    return [tf.nest.pack_sequence_as(outputs, of_batch) for of_batch in zip(*split, strict=True)]


def _keeps_images_apart(operation):
    """Whether no output depends on the other images of the batch; False for unknown operations."""
    if isinstance(operation, keras.Model) and hasattr(operation, "operations"):
        return all(map(_keeps_images_apart, operation.operations))
    own = type(operation).__module__.startswith("tf_cyclegan.") and isinstance(operation, keras.Layer)
    return isinstance(operation, _PER_IMAGE_LAYERS) or (
        own and not isinstance(operation, keras.layers.BatchNormalization)
    )


def same_architecture(found):
    """Whether networks of weight files, a list of `Part`, have one architecture; their channels may differ."""
    free = {"image_shape", "output_channels"}
    known = [
        (part.architecture.function, {k: v for k, v in part.architecture.settings.items() if k not in free})
        for part in found
    ]
    return all(each == known[0] for each in known)


def check_common_settings(model, gan_modes):
    """Raises `ValueError` unless the settings that all models have are in their ranges.

    Args:
        model: `TranslationModel` with `channels_b`, `gan_mode`, `augment_fill` and `pool_size`.
        gan_modes: tuple of str, the adversarial losses of the model.
    """
    check_integer("channels_b", model.channels_b, 1)
    check_choice("gan_mode", model.gan_mode, gan_modes)
    check_fill(model.augment_fill)
    check_integer("pool_size", model.pool_size, 0)
    if model.pool_size and None in model.image_shape:
        raise ValueError(
            "`pool_size` must be 0 unless the height and width of `image_shape` are known. "
            f"Received: pool_size={model.pool_size}, image_shape={model.image_shape}"
        )


def check_loss_weights(model, teaching, others=(), pair=None):
    """Raises `ValueError` unless all weights of losses are at least 0, and one of `teaching` is above 0.

    Args:
        model: `TranslationModel`.
        teaching: list of str, settings; without these losses the generators learn nothing.
        others: list of str, settings that may all be 0.
        pair: optional str, the setting that may also be a pair of weights.
    """
    for name in (*teaching, *others):
        check_weight(name, getattr(model, name), pair=name == pair)
    weights = {name: getattr(model, name) for name in teaching}
    if not any(keras.tree.flatten(weights)):
        *first, last = (f"`{name}`" for name in weights)
        raise ValueError(
            f"{', '.join(first)} and {last} must not all be 0: nothing is left to learn from. "
            f"Received: {', '.join(f'{name}={weight}' for name, weight in weights.items())}"
        )


def check_no_batch_normalization(discriminators):
    """Raises `ValueError` if a discriminator has batch normalization, as the gradient penalty is for single images."""
    for network in discriminators:
        if any(isinstance(layer, keras.layers.BatchNormalization) for layer in network._flatten_layers()):
            raise ValueError(
                "`normalization` must not be 'batch' in a discriminator with `gan_mode='wgangp'`. "
                f"Received: batch normalization in {network.name!r}"
            )


def new_pool(model, image_shape, name):
    """An `ImagePool` of `model.pool_size` images, built."""
    images_dtype = "float64" if model.dtype_policy.variable_dtype == "float64" else "float32"
    pool = ImagePool(model.pool_size, seed=model.seed, name=name, dtype=images_dtype)
    pool.build((None, *image_shape))
    return pool
