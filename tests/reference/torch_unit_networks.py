"""UNIT's networks in PyTorch: of UNIT 1.1, and of the paper's variant with shared blocks. Imports PyTorch."""

import torch
from torch import nn

from reference.torch_blocks import (
    Residual,
    halving,
    head,
    leaky_relu,
    named,
    normalized,
    residual_block,
    stem,
)


class LayerNormalization(nn.Module):
    """Over all of an image at once: unbiased deviation, epsilon added to it, one scale and shift a channel."""

    def __init__(self, channels, epsilon=1e-5):
        super().__init__()
        self.epsilon = epsilon
        self.gamma = nn.Parameter(torch.rand(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        deviation, mean = torch.std_mean(x, (1, 2, 3), keepdim=True)
        gamma, beta = (weight.view(1, -1, 1, 1) for weight in (self.gamma, self.beta))
        return (x - mean) / (deviation + self.epsilon) * gamma + beta


class _Pyramid(nn.Module):
    """Scores of each scale, the finest first."""

    def __init__(self, scales):
        super().__init__()
        self.downsample = halving()
        self.cnns = nn.ModuleList(scales)

    def forward(self, x):
        scores = []
        for network in self.cnns:
            scores.append(network(x))
            x = self.downsample(x)
        return scores


def unit_encoder(image_shape, filters, residual_blocks, **_):
    modules = [_convolution(image_shape[-1], filters, 7)]
    modules += [_convolution(filters * 2**level, filters * 2 ** (level + 1), 4, 2, 1) for level in range(2)]
    return named(enc=named(model=nn.Sequential(*modules, _blocks(4 * filters, residual_blocks))))


def unit_decoder(output_channels, filters, residual_blocks, **_):
    modules = [_blocks(4 * filters, residual_blocks)]
    for width in (2 * filters, filters):
        resize = nn.Upsample(scale_factor=2)
        modules += [resize, _convolution(2 * width, width, 5, norm=LayerNormalization)]
    last = _convolution(filters, output_channels, 7, norm=nn.Identity, activation=nn.Tanh)
    return named(dec=named(model=nn.Sequential(*modules, last)))


def unit_discriminator(image_shape, filters, layers, scales, **_):
    widths = [image_shape[-1]] + [filters * 2**layer for layer in range(layers)]
    return _Pyramid([_scale(widths) for _ in range(scales)])


def _scale(widths):
    settings = {"norm": nn.Identity, "activation": leaky_relu}
    pairs = zip(widths, widths[1:], strict=False)
    return nn.Sequential(*[_convolution(*pair, 4, 2, 1, **settings) for pair in pairs], nn.Conv2d(widths[-1], 1, 1))


def _convolution(channels, filters, size, stride=1, padding=None, norm=nn.InstanceNorm2d, activation=nn.ReLU):
    """A convolution with mirrored borders, which keep the size unless `padding` says how wide they are."""
    pad = nn.ReflectionPad2d(size // 2 if padding is None else padding)
    convolution = nn.Conv2d(channels, filters, size, stride)
    return named(pad=pad, conv=convolution, norm=norm(filters), activation=activation())


def _blocks(channels, count):
    return named(model=nn.Sequential(*[_block(channels) for _ in range(count)]))


def _block(channels):
    first, second = _convolution(channels, channels, 3), _convolution(channels, channels, 3, activation=nn.Identity)
    return named(Residual, model=nn.Sequential(first, second))


def shared_latent_encoder(image_shape, filters, residual_blocks, **_):
    modules = stem(image_shape[-1], filters, nn.InstanceNorm2d, activation=leaky_relu)
    for width in (filters, 2 * filters):
        modules += normalized(nn.Conv2d(width, 2 * width, 4, 2, 1), nn.InstanceNorm2d)
    modules += [residual_block(4 * filters, nn.InstanceNorm2d) for _ in range(residual_blocks)]
    return named(model_blocks=nn.Sequential(*modules), shared_block=residual_block(4 * filters, nn.InstanceNorm2d))


def shared_latent_decoder(output_channels, filters, residual_blocks, **_):
    modules = [residual_block(4 * filters, nn.InstanceNorm2d) for _ in range(residual_blocks)]
    for width in (2 * filters, filters):
        modules += normalized(nn.ConvTranspose2d(2 * width, width, 4, 2, 1), nn.InstanceNorm2d, leaky_relu)
    blocks = nn.Sequential(*modules, *head(filters, output_channels))
    return named(shared_block=residual_block(4 * filters, nn.InstanceNorm2d), model_blocks=blocks)
