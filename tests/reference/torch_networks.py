"""The networks of `tf_cyclegan.networks` in PyTorch, with the reference implementations' names. Imports PyTorch.

What a checkpoint computes in PyTorch is measured with these. Numbers of layers stand in the names of weights, so the
modules without weights stand here where the references have them.
"""

import inspect

from torch import nn

from reference import torch_hd_networks, torch_unit_networks
from reference.torch_blocks import (
    Bridged,
    head,
    leaky_relu,
    named,
    normalization_of,
    normalized,
    residual_block,
    transformer,
)
from tf_cyclegan import networks
from tf_cyclegan.settings.checks import check_choice

# Steps of a U-Net's decoder that double the size with fewer filters have no dropout, nor has the head.
_WITHOUT_DROPOUT = 5


def torch_network(function, settings):
    """The PyTorch network that a function of `tf_cyclegan.networks` is the counterpart of, in evaluation mode.

    Its `state_dict()` has the names and shapes of the reference implementation, so a file of that loads strictly.
    Convolutions have a bias where the reference has one. The weights are PyTorch's random ones.

    Args:
        function: str, name of a builder of `tf_cyclegan.networks`, as `"resnet_generator"`.
        settings: dict, keyword arguments of that builder; those left out have its defaults. What does not change the
            structure, as `initializer`, has no effect.

    Returns:
        `torch.nn.Module`, images `(batch, channels, height, width)` to what the builder's network answers, channels
        first: a tensor, or lists of tensors, the full size first. `feature_encoder` does not average over objects, the
        encoders answer with the mean of the code.

    Raises:
        ValueError: if there is no such function, it has no such setting, or no reference implementation has a network
            with such a setting, as `normalization="affine_instance"` or `convolution_padding="same"`.

    Example:
        >>> torch_network("resnet_generator", {"filters": 8}).state_dict()["model.1.weight"].shape
        torch.Size([8, 3, 7, 7])

    Reference:
        [Zhu et al., 2017](https://arxiv.org/abs/1703.10593), [Isola et al., 2016](https://arxiv.org/abs/1611.07004),
        [Wang et al., 2017](https://arxiv.org/abs/1711.11585), [Liu et al., 2017](https://arxiv.org/abs/1703.00848)
    """
    check_choice("function", function, _BUILDERS)
    signature = inspect.signature(getattr(networks, function))
    for name in settings:
        if name not in signature.parameters:
            known = ", ".join(signature.parameters)
            raise ValueError(f"`settings` must be of {function}: {known}. Received: {name}={settings[name]!r}")
    bound = signature.bind(**settings)
    bound.apply_defaults()
    check_choice("convolution_padding", bound.arguments.get("convolution_padding", "explicit"), ("explicit",))
    return _BUILDERS[function](**bound.arguments).eval()


def _resnet_generator(
    image_shape,
    output_channels,
    filters,
    residual_blocks,
    normalization,
    dropout,
    padding,
    upsampling,
    inference_statistics,
    **_,
):
    norm, bias = normalization_of(normalization, inference_statistics), _is_biased(normalization)
    # The implementation that resizes calls the branch of a residual block differently.
    name = "block" if upsampling == "resize" else "conv_block"
    blocks = [residual_block(4 * filters, norm, bias, padding, dropout, name) for _ in range(residual_blocks)]
    features = transformer(image_shape[-1], filters, 2, blocks, norm, bias, upsampling)
    return named(model=nn.Sequential(*features, *head(filters, output_channels)))


def _unet_generator(
    image_shape,
    output_channels,
    filters,
    downsamplings,
    normalization,
    dropout,
    dropout_placement,
    inference_statistics,
    **_,
):
    norm, bias = normalization_of(normalization, inference_statistics), _is_biased(normalization)
    widths = [filters * min(2**level, 8) for level in range(downsamplings)]
    dropped = _dropped_levels(downsamplings, dropout_placement) if dropout else ()
    inside = []
    for level in range(downsamplings, 1, -1):
        outer, inner = widths[level - 2 : level]
        modules = _unet_level(outer, inner, inside, norm, bias)
        modules += [nn.Dropout(dropout)] if level in dropped else []
        inside = [named(Bridged, model=nn.Sequential(*modules))]
    first = nn.Conv2d(image_shape[-1], filters, 4, 2, 1, bias=bias)
    last = nn.ConvTranspose2d(2 * filters, output_channels, 4, 2, 1)
    outermost = nn.Sequential(first, *inside, nn.ReLU(), last, nn.Tanh())
    return named(model=named(model=outermost))


def _unet_level(outer, inner, inside, norm, bias):
    """One step down and up, around the next smaller level, if there is one."""
    modules = [leaky_relu(), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
    modules += [norm(inner), *inside] if inside else []
    width = 2 * inner if inside else inner
    return modules + [nn.ReLU(), nn.ConvTranspose2d(width, outer, 4, 2, 1, bias=bias), norm(outer)]


def _dropped_levels(downsamplings, placement):
    first = downsamplings - (placement == "reference")
    return range(first, first - max(0, downsamplings - _WITHOUT_DROPOUT), -1)


def _patchgan_discriminator(image_shape, filters, layers, normalization, **_):
    return _patches(image_shape[-1], filters, [2] * layers + [1], [], normalization)


def _four_stride_discriminator(image_shape, filters, normalization, **_):
    one_sided = [nn.ZeroPad2d((1, 0, 1, 0))]
    return _patches(image_shape[-1], filters, [2] * 4, one_sided, normalization)


def _patches(channels, filters, strides, padding, normalization):
    norm, bias = normalization_of(normalization), _is_biased(normalization)
    modules = [nn.Conv2d(channels, filters, 4, 2, 1), leaky_relu()]
    widths = [filters * min(2**index, 8) for index in range(len(strides))]
    for narrow, wide, stride in zip(widths, widths[1:], strides[1:], strict=False):
        modules += normalized(nn.Conv2d(narrow, wide, 4, stride, 1, bias=bias), norm, leaky_relu)
    return named(model=nn.Sequential(*modules, *padding, nn.Conv2d(widths[-1], 1, 4, 1, 1)))


def _pixel_discriminator(image_shape, filters, normalization, **_):
    norm, bias = normalization_of(normalization), _is_biased(normalization)
    modules = [nn.Conv2d(image_shape[-1], filters, 1), leaky_relu()]
    modules += normalized(nn.Conv2d(filters, 2 * filters, 1, bias=bias), norm, leaky_relu)
    return named(net=nn.Sequential(*modules, nn.Conv2d(2 * filters, 1, 1, bias=bias)))


def _is_biased(normalization):
    # So in the references of these networks, also where nothing is normalized.
    return normalization == "instance"


_BUILDERS = {
    "resnet_generator": _resnet_generator,
    "unet_generator": _unet_generator,
    "patchgan_discriminator": _patchgan_discriminator,
    "four_stride_discriminator": _four_stride_discriminator,
    "pixel_discriminator": _pixel_discriminator,
    "global_generator": torch_hd_networks.global_generator,
    "local_enhancer": torch_hd_networks.local_enhancer,
    "feature_encoder": torch_hd_networks.feature_encoder,
    "multiscale_discriminator": torch_hd_networks.multiscale_discriminator,
    "unit_encoder": torch_unit_networks.unit_encoder,
    "unit_decoder": torch_unit_networks.unit_decoder,
    "unit_discriminator": torch_unit_networks.unit_discriminator,
    "shared_latent_encoder": torch_unit_networks.shared_latent_encoder,
    "shared_latent_decoder": torch_unit_networks.shared_latent_decoder,
}
