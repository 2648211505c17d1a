"""Recognizes networks by the names and shapes of their state dicts: a function for each family."""

import re

_STATISTICS = ".running_mean"


class Names:
    """Names and shapes of a state dict."""

    def __init__(self, shapes):
        self.shapes = shapes

    def __getitem__(self, module):
        """The shape of a module's weight."""
        return self.shapes[f"{module}.weight"]

    def __contains__(self, module):
        return f"{module}.weight" in self.shapes

    def numbers(self, pattern):
        """The numbers that the group of `pattern` matches at the start of names, ascending."""
        found = (re.match(pattern, name) for name in self.shapes)
        return sorted({int(match[1]) for match in found if match})

    def convolutions(self, module):
        """Numbers of the convolutions in a sequence, ascending."""
        numbers = self.numbers(rf"{re.escape(module)}\.(\d+)\.weight$")
        return [number for number in numbers if len(self[f"{module}.{number}"]) == 4]

    def blocks(self, module):
        """Numbers of the residual blocks in a sequence, ascending."""
        return self.numbers(rf"{re.escape(module)}\.(\d+)\.conv_block\.")

    def normalization(self, convolution):
        """The normalization of a network, by one of its convolutions: it has a bias before instance normalization."""
        statistics = [name.removesuffix(_STATISTICS) for name in self.shapes if name.endswith(_STATISTICS)]
        if any(module in self for module in statistics):  # instance normalization may have statistics alone
            return "batch"
        return "instance" if f"{convolution}.bias" in self.shapes else "none"


def _resnet(names):
    """The generator of CycleGAN or of pix2pixHD. Only the latter may be deeper or have biases before batch norm."""
    settings = _global_settings(names)
    steps = settings.pop("downsamplings")
    settings["output_channels"] = names[f"model.{names.convolutions('model')[-1]}"][0]
    biased = settings["normalization"] == "batch" and "model.1.bias" in names.shapes
    if steps != 2 or biased or not settings["residual_blocks"]:
        return "global_generator", {**settings, "downsamplings": steps}
    return "resnet_generator", settings | _block_settings(names) | _upsampling(names)


def _global_settings(names):
    filters, channels = names["model.1"][:2]
    steps = 0
    # Each step down doubles the channels; what comes after the last one does not.
    while names.shapes.get(f"model.{4 + 3 * steps}.weight", ())[:2] == (filters * 2 ** (steps + 1), filters * 2**steps):
        steps += 1
    return {
        "image_shape": (None, None, channels),
        "filters": filters,
        "downsamplings": steps,
        "residual_blocks": len(names.blocks("model")),
        "normalization": names.normalization("model.1"),
    }


def _block_settings(names):
    """Modules of padding and of dropout move what comes after them."""
    first, second = names.convolutions(f"model.{names.blocks('model')[0]}.conv_block")
    dropped = second - first - (first > 0) == 4
    return {"padding": "reflect" if first else "zero", "dropout": 0.5 if dropped else 0.0}


def _upsampling(names):
    """A module that enlarges stands before the convolution that follows the last block."""
    last = names.blocks("model")[-1]
    first = min(number for number in names.convolutions("model") if number > last)
    return {"upsampling": "deconvolution" if first == last + 1 else "resize"}


def _local_enhancer(names):
    finest = len(names.numbers(r"model(\d+)_1\."))
    filters = names[f"model{finest}_1.1"][0]
    head = names.convolutions(f"model{finest}_2")[-1]
    return "local_enhancer", {
        **_global_settings(names),
        "filters": filters,
        "output_channels": names[f"model{finest}_2.{head}"][0],
        "local_residual_blocks": len(names.blocks(f"model{finest}_2")),
        "enhancers": finest,
    }


def _unet(names):
    filters, channels = names["model.model.0"][:2]
    steps = 1
    while f"model.model.1{'.model.3' * (steps - 1)}.model.1" in names:
        steps += 1
    return "unet_generator", {
        "image_shape": (None, None, channels),
        "output_channels": names["model.model.3"][1],
        "filters": filters,
        "downsamplings": steps,
        "normalization": names.normalization("model.model.1.model.1"),
    }


def _patchgan(names):
    filters, channels = names["model.0"][:2]
    convolutions = names.convolutions("model")
    layers = len(convolutions) - 2
    settings = {
        "image_shape": (None, None, channels),
        "filters": filters,
        "normalization": names.normalization("model.2"),
    }
    # The four-stride variant has a module of padding before its head.
    if layers == 3 and convolutions[-1] == 12:
        return "four_stride_discriminator", settings
    return "patchgan_discriminator", {**settings, "layers": layers}


def _pixel(names):
    filters, channels = names["net.0"][:2]
    settings = {
        "image_shape": (None, None, channels),
        "filters": filters,
        "normalization": names.normalization("net.2"),
    }
    return "pixel_discriminator", settings


def _multiscale(names):
    filters, channels = names["scale0_layer0.0"][:2]
    return "multiscale_discriminator", {
        "image_shape": (None, None, channels),
        "filters": filters,
        "layers": len(names.numbers(r"scale0_layer(\d+)\.")) - 2,
        "scales": len(names.numbers(r"scale(\d+)_layer")),
        "normalization": names.normalization("scale0_layer1.0"),
    }


def _unit_discriminator(names):
    filters, channels = names["cnns.0.0.conv"][:2]
    return "unit_discriminator", {
        "image_shape": (None, None, channels),
        "filters": filters,
        "layers": len(names.numbers(r"cnns\.0\.(\d+)\.conv\.")),
        "scales": len(names.numbers(r"cnns\.(\d+)\.")),
    }


def _unit_encoder(names):
    filters, channels = names["enc.model.0.conv"][:2]
    blocks = len(names.numbers(r"enc\.model\.3\.model\.(\d+)\."))
    settings = {"image_shape": (None, None, channels), "filters": filters, "residual_blocks": blocks}
    return "unit_encoder", settings


def _unit_decoder(names):
    channels, filters = names["dec.model.5.conv"][:2]
    blocks = len(names.numbers(r"dec\.model\.0\.model\.(\d+)\."))
    return "unit_decoder", {"output_channels": channels, "filters": filters, "residual_blocks": blocks}


def _shared_latent(names):
    """UNIT as the paper has it: an encoder begins with a 7x7 convolution, a decoder ends with one."""
    blocks = len(names.blocks("model_blocks"))
    if names.shapes.get("model_blocks.1.weight", ())[2:] == (7, 7):
        filters, channels = names["model_blocks.1"][:2]
        settings = {"image_shape": (None, None, channels), "filters": filters, "residual_blocks": blocks}
        return "shared_latent_encoder", settings
    channels, filters = names[f"model_blocks.{blocks + 7}"][:2]
    return "shared_latent_decoder", {"output_channels": channels, "filters": filters, "residual_blocks": blocks}


# By how a name begins; the more special ones stand before the others.
FAMILIES = (
    (r"shared_block\.", _shared_latent),
    (r"enc\.model\.", _unit_encoder),
    (r"dec\.model\.", _unit_decoder),
    (r"cnns\.", _unit_discriminator),
    (r"scale\d+_layer", _multiscale),
    (r"model\d+_1\.", _local_enhancer),
    (r"net\.0\.", _pixel),
    (r"model\.model\.", _unet),
    (r"model\.1\.", _resnet),
    (r"model\.0\.", _patchgan),
)
