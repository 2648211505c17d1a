"""Parts that the PyTorch networks have in common. Imports PyTorch.

A PyTorch network is lists of modules in the order that gives them the numbers in the names of its weights.
"""

import functools

import torch
from torch import nn

from tf_cyclegan.settings.checks import check_choice

NORMALIZATIONS = ("instance", "batch", "none")
_PADDINGS = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d}


class ImageStatistics(nn.BatchNorm2d):
    """Batch normalization that takes the statistics of each image alone outside of training."""

    def forward(self, x):
        if self.training:
            return super().forward(x)
        return nn.functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class Residual(nn.Sequential):
    """The input beside what the modules make of it, as a sum."""

    def forward(self, x):
        return x + super().forward(x)


class Bridged(nn.Sequential):
    """The input beside what the modules make of it, as channels: the input's first."""

    def forward(self, x):
        return torch.cat([x, super().forward(x)], 1)


def named(kind=nn.Sequential, **modules):
    """Modules that run one after the other, by name."""
    container = kind()
    for name, module in modules.items():
        container.add_module(name, module)
    return container


def normalization_of(normalization, inference_statistics="moving"):
    """A function from a number of channels to a module."""
    check_choice("normalization", normalization, NORMALIZATIONS)
    if normalization == "instance":
        return nn.InstanceNorm2d
    if normalization == "batch":
        return nn.BatchNorm2d if inference_statistics == "moving" else ImageStatistics
    return nn.Identity


def normalized(convolution, norm, activation=nn.ReLU):
    return [convolution, norm(convolution.out_channels), activation()]


def leaky_relu():
    return nn.LeakyReLU(0.2)


def padded_convolution(channels, filters, padding="reflect", bias=True):
    """A 3x3 convolution behind a module of padding, or with zeros of its own: the modules after it then move up."""
    if padding == "zero":
        return [nn.Conv2d(channels, filters, 3, padding=1, bias=bias)]
    return [_PADDINGS[padding](1), nn.Conv2d(channels, filters, 3, bias=bias)]


def residual_block(channels, norm, bias=True, padding="reflect", dropout=0.0, name="conv_block"):
    *pad, first = padded_convolution(channels, channels, padding, bias)
    dropped = [nn.Dropout(dropout)] if dropout else []
    second = padded_convolution(channels, channels, padding, bias)
    branch = [*pad, *normalized(first, norm), *dropped, *second, norm(channels)]
    return named(Residual, **{name: nn.Sequential(*branch)})


def stem(channels, filters, norm, bias=True, activation=nn.ReLU):
    return [nn.ReflectionPad2d(3), *normalized(nn.Conv2d(channels, filters, 7, bias=bias), norm, activation)]


def down(channels, filters, norm, bias=True):
    return normalized(nn.Conv2d(channels, filters, 3, 2, 1, bias=bias), norm)


def up(channels, filters, norm, bias=True, upsampling="deconvolution"):
    if upsampling == "resize":
        return [nn.Upsample(scale_factor=2), *normalized(nn.Conv2d(channels, filters, 3, 1, 1, bias=bias), norm)]
    return normalized(nn.ConvTranspose2d(channels, filters, 3, 2, 1, 1, bias=bias), norm)


def head(channels, output_channels):
    return [nn.ReflectionPad2d(3), nn.Conv2d(channels, output_channels, 7), nn.Tanh()]


def transformer(channels, filters, downsamplings, blocks, norm, bias=True, upsampling="deconvolution"):
    """All of a generator but its head.

    Args:
        channels: int, of the image.
        filters: int, of the first convolution.
        downsamplings: int, steps down and up.
        blocks: list of modules at the smallest size.
        norm: function from a number of channels to a module.
        bias: bool, of the convolutions. Defaults to True.
        upsampling: `"deconvolution"` or `"resize"`. Defaults to `"deconvolution"`.

    Returns:
        List of modules.
    """
    widths = [filters * 2**level for level in range(downsamplings + 1)]
    modules = stem(channels, filters, norm, bias)
    for narrow, wide in zip(widths, widths[1:], strict=False):
        modules += down(narrow, wide, norm, bias)
    modules += blocks
    for narrow, wide in zip(widths[-2::-1], widths[::-1], strict=False):
        modules += up(wide, narrow, norm, bias, upsampling)
    return modules


# The coarser image that a pyramid's next scale sees: pixels beyond the border do not count.
halving = functools.partial(nn.AvgPool2d, 3, stride=2, padding=1, count_include_pad=False)
