"""`Blocks`: the layers and the groups of layers that networks are built of, all in one style."""

import dataclasses

import keras
from keras import layers

from tf_cyclegan.networks.layers import (
    BatchNormalization,
    Cropping2D,
    InstanceNormalization,
    ReflectionPadding2D,
    ReplicationPadding2D,
)
from tf_cyclegan.networks.layers.convolution import Conv2D
from tf_cyclegan.settings.checks import check_choice

NORMALIZATIONS = ("instance", "affine_instance", "batch", "none")
CONVOLUTION_PADDINGS = ("explicit", "same")
UPSAMPLINGS = ("deconvolution", "resize")
INITIALIZERS = ("normal", "xavier", "kaiming", "orthogonal")
PADDINGS = {"reflect": ReflectionPadding2D, "replicate": ReplicationPadding2D, "zero": layers.ZeroPadding2D}


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Adds layers of one style to a functional network.

    Args:
        normalization: `"instance"`, the reference's; `"affine_instance"`, with a scale and an offset of each channel,
            as `tensorflow_addons.layers.InstanceNormalization` has them by default; `"batch"` or `"none"`.
        initializer: of the kernels, see `kernel_initializer`.
        dtype: dtype or policy of every layer; None for the ambient policy.
        inference_statistics: of batch normalization, see `layers.BatchNormalization`. Defaults to `"moving"`.
        convolution_padding: `"explicit"` for PyTorch's zeros, as many on every side, or `"same"` for TensorFlow's, of
            which a kernel that does not fit evenly takes one more at the bottom and right. Defaults to `"explicit"`.
        style: second input of each normalization, for subclasses whose `normalization_layer` takes one. Defaults to
            None.
    """

    normalization: str = "instance"
    initializer: object = "normal"
    dtype: object = None
    inference_statistics: str = "moving"
    convolution_padding: str = "explicit"
    style: object = None

    def __post_init__(self):
        if keras.config.image_data_format() != "channels_last":
            raise ValueError(
                "networks need `keras.config.set_image_data_format('channels_last')`. "
                f"Received: {keras.config.image_data_format()!r}, which ~/.keras/keras.json may have set"
            )
        check_choice("normalization", self.normalization, NORMALIZATIONS)
        check_choice("convolution_padding", self.convolution_padding, CONVOLUTION_PADDINGS)
        kernel_initializer(self.initializer)
        object.__setattr__(self, "dtype", keras.dtype_policies.get(self.dtype or keras.config.dtype_policy()))

    @property
    def output_dtype(self):
        """Networks answer in float32 when they compute in less."""
        return "float64" if self.dtype.compute_dtype == "float64" else "float32"

    def input(self, shape, name=None):
        """The input of a network. Keras rounds images to its dtype, which is no narrower than the network's."""
        return keras.Input(shape, name=name, dtype=self.output_dtype)

    def pad(self, x, padding, mode, name):
        return PADDINGS[mode](padding, dtype=self.dtype, name=name)(x)

    def convolution(self, x, filters, kernel_size, name, strides=1, padding="valid", use_bias=True, doubles=False):
        return Conv2D(
            filters,
            kernel_size,
            strides,
            padding,
            doubles=doubles,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer(self.initializer),
            dtype=self.dtype,
            name=f"{name}_conv",
        )(x)

    def padded_convolution(self, x, filters, kernel_size, name, strides=1, padding=1, use_bias=True):
        """A convolution with zeros around the image: `padding` of them, or with `"same"` as TensorFlow has them."""
        if self.convolution_padding == "same" and strides > 1:
            return self.convolution(x, filters, kernel_size, name, strides, "same", use_bias)
        if self.convolution_padding == "same":
            # Without a stride "same" is always these zeros, and Conv2D's gradients are fast only without its own.
            before = (kernel_size - 1) // 2
            padding = ((before, kernel_size - 1 - before),) * 2
        x = self.pad(x, padding, "zero", f"{name}_pad")
        return self.convolution(x, filters, kernel_size, name, strides, use_bias=use_bias)

    def deconvolution(self, x, filters, name, use_bias=True, kernel_size=3):
        """PyTorch's `ConvTranspose2d(3, stride=2, padding=1, output_padding=1)`: twice the size, to the pixel.

        Of the 2n + 1 pixels of a full transposed convolution PyTorch drops the first; Keras's "same" drops the last.
        With `kernel_size=4` it is `ConvTranspose2d(4, stride=2, padding=1)`, where both drop one on each side.
        """
        cropped = kernel_size == 3 and self.convolution_padding == "explicit"
        x = layers.Conv2DTranspose(
            filters,
            kernel_size,
            2,
            "valid" if cropped else "same",
            use_bias=use_bias,
            kernel_initializer=kernel_initializer(self.initializer),
            dtype=self.dtype,
            name=f"{name}_conv",
        )(x)
        return Cropping2D(((1, 0), (1, 0)), dtype=self.dtype, name=f"{name}_crop")(x) if cropped else x

    def upsample(self, x, filters, name, upsampling, use_bias=True, kernel_size=3):
        """Twice the size: by a transposed convolution, or by nearest-neighbor and a 3x3 convolution."""
        if upsampling == "deconvolution":
            return self.deconvolution(x, filters, name, use_bias, kernel_size)
        return self.convolution(x, filters, 3, name, padding="same", use_bias=use_bias, doubles=True)

    @property
    def bias_before_normalization(self):
        """Whether convolutions have a bias before a normalization, which subtracts it with the mean: it would drift."""
        return self.normalization == "none"

    def normalize(self, x, name):
        layer = self.normalization_layer(f"{name}_normalization")
        if layer is None:
            return x
        return layer(x) if self.style is None else layer(x, self.style)

    def normalization_layer(self, name):
        """A layer of this name, or None without normalization."""
        if self.normalization == "instance":
            return InstanceNormalization(epsilon=1e-5, center=False, scale=False, dtype=self.dtype, name=name)
        if self.normalization == "affine_instance":
            return InstanceNormalization(dtype=self.dtype, name=name)
        if self.normalization == "batch":
            # PyTorch's momentum 0.1 is Keras's 0.9.
            return BatchNormalization(
                self.inference_statistics,
                momentum=0.9,
                epsilon=1e-5,
                gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02),
                dtype=self.dtype,
                name=name,
            )
        return None

    def relu(self, x, name):
        return layers.ReLU(dtype=self.dtype, name=f"{name}_relu")(x)

    def leaky_relu(self, x, name):
        return layers.LeakyReLU(0.2, dtype=self.dtype, name=f"{name}_leaky_relu")(x)

    def dropout(self, x, rate, name):
        return layers.Dropout(rate, dtype=self.dtype, name=f"{name}_dropout")(x) if rate else x

    def normalized_convolution(self, x, filters, kernel_size, name, strides=1):
        """A convolution, a normalization and ReLU."""
        x = self.convolution(x, filters, kernel_size, name, strides, use_bias=self.bias_before_normalization)
        return self.relu(self.normalize(x, name), name)

    def normalized_upsampling(self, x, filters, name, upsampling="deconvolution"):
        """Twice the size, a normalization and ReLU."""
        x = self.upsample(x, filters, name, upsampling, self.bias_before_normalization)
        return self.relu(self.normalize(x, name), name)

    def residual_block(self, x, name, padding="reflect", dropout=0):
        """Adds two normalized 3x3 convolutions of `x` to `x`; no activation follows the sum."""
        y = self.pad(x, 1, padding, f"{name}_1_pad")
        y = self.normalized_convolution(y, x.shape[-1], 3, f"{name}_1")
        y = self.pad(self.dropout(y, dropout, name), 1, padding, f"{name}_2_pad")
        y = self.convolution(y, x.shape[-1], 3, f"{name}_2", use_bias=self.bias_before_normalization)
        y = self.normalize(y, f"{name}_2")
        return layers.Add(dtype=self.dtype, name=f"{name}_add")([x, y])

    def head(self, x, output_channels, name="head"):
        """Features to an image in [-1, 1]: a mirrored border, a 7x7 convolution and tanh."""
        x = self.convolution(self.pad(x, 3, "reflect", f"{name}_pad"), output_channels, 7, name)
        return layers.Activation("tanh", dtype=self.output_dtype, name=f"{name}_tanh")(x)


class HDBlocks(Blocks):
    """The blocks of pix2pixHD, whose convolutions have a bias before batch normalization: its weights hold one."""

    @property
    def bias_before_normalization(self):
        return self.normalization not in ("instance", "affine_instance")


def kernel_initializer(initializer):
    """A fresh initializer of convolution kernels, so that no two layers draw the same numbers.

    Args:
        initializer: `"normal"` for N(0, 0.02), `"xavier"` and `"orthogonal"` with a gain of 0.02 and `"kaiming"` by
            fan-in, all as the reference implementation has them; or a Keras initializer.

    Raises:
        ValueError: if `initializer` is neither.
    """
    if isinstance(initializer, keras.initializers.Initializer):
        return initializer.clone()
    check_choice("initializer", initializer, INITIALIZERS)
    initializers = keras.initializers
    if initializer == "normal":
        return initializers.RandomNormal(0.0, 0.02)
    if initializer == "xavier":
        return initializers.VarianceScaling(0.02**2, "fan_avg", "untruncated_normal")
    if initializer == "kaiming":
        return initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")
    return initializers.Orthogonal(gain=0.02)


def check_image_shape(image_shape, multiple=1, smallest=1):
    """Raises `ValueError` unless `image_shape` is (height, width, channels), its sides None or fit multiples."""
    if len(image_shape) != 3 or image_shape[2] is None or image_shape[2] < 1:
        raise ValueError(
            f"`image_shape` must be (height, width, channels) with known channels. Received: image_shape={image_shape}"
        )
    for side in image_shape[:2]:
        if side is not None and (side < smallest or side % multiple):
            raise ValueError(
                f"`image_shape` must have a height and width that are multiples of {multiple}, at least {smallest}, or "
                "None. "
                f"Received: image_shape={tuple(image_shape)}"
            )
