"""pix2pixHD's networks in PyTorch, all of whose convolutions have a bias. Imports PyTorch."""

from torch import nn

from reference.torch_blocks import (
    down,
    halving,
    head,
    leaky_relu,
    named,
    normalization_of,
    normalized,
    residual_block,
    stem,
    transformer,
    up,
)

_LARGEST_WIDTH = 512


def global_generator(image_shape, output_channels, filters, downsamplings, normalization, residual_blocks=0, **_):
    features = _features(image_shape[-1], filters, downsamplings, residual_blocks, normalization)
    return named(model=nn.Sequential(*features, *head(filters, output_channels)))


def feature_encoder(**settings):
    """A global generator without residual blocks."""
    return global_generator(**settings)


def local_enhancer(
    image_shape,
    output_channels,
    filters,
    downsamplings,
    residual_blocks,
    local_residual_blocks,
    normalization,
    enhancers,
    **_,
):
    channels, norm = image_shape[-1], normalization_of(normalization)
    modules = _features(channels, filters * 2**enhancers, downsamplings, residual_blocks, normalization)
    network = _LocalEnhancer(enhancers)
    network.model = nn.Sequential(*modules)
    for number in range(1, enhancers + 1):
        width = filters * 2 ** (enhancers - number)
        first = stem(channels, width, norm) + down(width, 2 * width, norm)
        second = [residual_block(2 * width, norm) for _ in range(local_residual_blocks)] + up(2 * width, width, norm)
        second += head(width, output_channels) if number == enhancers else []
        network.add_module(f"model{number}_1", nn.Sequential(*first))
        network.add_module(f"model{number}_2", nn.Sequential(*second))
    return network


def _features(channels, filters, downsamplings, residual_blocks, normalization):
    norm = normalization_of(normalization)
    blocks = [residual_block(filters * 2**downsamplings, norm) for _ in range(residual_blocks)]
    return transformer(channels, filters, downsamplings, blocks, norm)


class _LocalEnhancer(nn.Module):
    """A global generator without its head on the smallest image, and enhancers that each see the next larger one."""

    def __init__(self, enhancers):
        super().__init__()
        self.enhancers = enhancers
        self.downsample = halving()

    def forward(self, x):
        pyramid = [x]
        for _ in range(self.enhancers):
            pyramid.append(self.downsample(pyramid[-1]))
        x = self.model(pyramid.pop())
        for number in range(1, self.enhancers + 1):
            first, second = (getattr(self, f"model{number}_{half}") for half in (1, 2))
            x = second(first(pyramid.pop()) + x)
        return x


def multiscale_discriminator(image_shape, filters, layers, scales, normalization, **_):
    network = _MultiscaleDiscriminator(layers + 2, scales)
    for scale in range(scales):
        for layer, modules in enumerate(_judging_layers(image_shape[-1], filters, layers, normalization)):
            network.add_module(f"scale{scale}_layer{layer}", nn.Sequential(*modules))
    return network


def _judging_layers(channels, filters, layers, normalization):
    norm = normalization_of(normalization)
    widths = [min(filters * 2**index, _LARGEST_WIDTH) for index in range(layers + 1)]
    yield nn.Conv2d(channels, filters, 4, 2, 2), leaky_relu()
    for index, (narrow, wide) in enumerate(zip(widths, widths[1:], strict=False), start=1):
        stride = 2 if index < layers else 1
        yield normalized(nn.Conv2d(narrow, wide, 4, stride, 2), norm, leaky_relu)
    yield (nn.Conv2d(widths[-1], 1, 4, 1, 2),)


class _MultiscaleDiscriminator(nn.Module):
    """The features of every layer at every scale; the reference numbers its scales from the smallest image up."""

    def __init__(self, layers, scales):
        super().__init__()
        self.layers = layers
        self.scales = scales
        self.downsample = halving()

    def forward(self, x):
        outputs = []
        for scale in reversed(range(self.scales)):
            outputs.append(self._features(x, scale))
            x = self.downsample(x) if scale else x
        return outputs

    def _features(self, x, scale):
        features = []
        for layer in range(self.layers):
            x = getattr(self, f"scale{scale}_layer{layer}")(x)
            features.append(x)
        return features
