"""Which rule each kind of layer follows."""

from keras import layers

from tf_cyclegan.networks import layers as own
from tf_cyclegan.networks.coarse_to_fine import AtLeastTwoPixels, CropLike
from tf_cyclegan.networks.instance_maps import LabelEncoding
from tf_cyclegan.networks.layers.convolution import Conv2D
from tf_cyclegan.networks.layers.layer_normalization import LayerNormalization
from tf_cyclegan.networks.layers.resizing import BilinearEnlargement2D, HalvingPooling2D
from tf_cyclegan.translating.strips.convolutions import (
    Convolution,
    DoublingConvolution,
    Halving,
    TransposedConvolution,
)
from tf_cyclegan.translating.strips.rules import (
    Cropping,
    CropToSecond,
    Enlargement,
    Growth,
    Normalization,
    ReflectionPadding,
    ReplicationPadding,
    Rule,
    Unchanged,
    ZeroPadding,
)


def rule_of(layer):
    """The rule of a layer.

    Args:
        layer: `keras.layers.Layer`, or another operation of a functional network.

    Raises:
        ValueError: if there is none; it names the layer.
    """
    make = _RULES.get(type(layer))
    rule = make(layer) if make else None
    if rule is None:
        name, kind = getattr(layer, "name", ""), type(layer).__name__
        raise ValueError(
            f"`tile_statistics` must be 'tile' for this network: its layer {name} ({kind}) cannot be computed in strips"
        )
    return rule


def _normalization(layer):
    axis = getattr(layer, "axis", -1)
    if axis not in (-1, 3):
        return None
    return Normalization(layer) if getattr(layer, "inference_statistics", "image") == "image" else Rule(layer)


def _convolution(layer):
    plain = layer.data_format == "channels_last" and _of_pixels(layer.activation)
    make = DoublingConvolution if getattr(layer, "doubles", False) else Convolution
    return make(layer) if plain and layer.padding in ("same", "valid") else None


def _transposed(layer):
    plain = layer.data_format == "channels_last" and _of_pixels(layer.activation) and layer.output_padding is None
    fits = all(k >= s for k, s in zip(layer.kernel_size, layer.strides, strict=True))
    return TransposedConvolution(layer) if plain and fits and layer.dilation_rate == (1, 1) else None


def _of_pixels(activation):
    """Whether an activation looks at no other pixel: Keras's do not, of others nothing is known."""
    return getattr(activation, "__module__", "").startswith("keras.")


def _if(condition, make):
    return lambda layer: make(layer) if condition(layer) else None


def _channels_last(layer):
    return layer.data_format == "channels_last"


_RULES = {
    layers.Identity: Rule,
    layers.ReLU: Rule,
    layers.LeakyReLU: Rule,
    layers.Activation: _if(lambda layer: _of_pixels(layer.activation), Rule),
    layers.Add: Rule,
    layers.Concatenate: _if(lambda layer: layer.axis in (-1, 3), Rule),
    layers.Dropout: Unchanged,
    layers.BatchNormalization: _if(lambda layer: layer.axis in (-1, 3), Rule),
    own.BatchNormalization: _normalization,
    own.InstanceNormalization: _normalization,
    LayerNormalization: Normalization,
    layers.ZeroPadding2D: _if(_channels_last, ZeroPadding),
    own.ReflectionPadding2D: ReflectionPadding,
    own.ReplicationPadding2D: ReplicationPadding,
    layers.Cropping2D: _if(_channels_last, Cropping),
    own.Cropping2D: _if(_channels_last, Cropping),
    layers.Conv2D: _convolution,
    Conv2D: _convolution,
    layers.Conv2DTranspose: _transposed,
    layers.UpSampling2D: _if(
        lambda layer: _channels_last(layer) and layer.interpolation == "nearest",
        lambda layer: Enlargement(layer, layer.size, 0),
    ),
    BilinearEnlargement2D: lambda layer: Enlargement(layer, (layer.factor, layer.factor), 1),
    HalvingPooling2D: Halving,
    LabelEncoding: lambda layer: Enlargement(layer, (1, 1), 1 if layer.instance_edges else 0),
    AtLeastTwoPixels: Growth,
    CropLike: CropToSecond,
}
