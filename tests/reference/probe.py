"""How far a network's answers are from those of PyTorch with the same weights, by running both."""

import importlib.util
import inspect

import keras
import numpy as np

from tf_cyclegan import networks
from tf_cyclegan.settings.checks import one_line
from tf_cyclegan.weights.pytorch.architecture import architecture_of, canonical

_SIZE = 64
_LATENT_SCALE = 4
# What PyTorch before 0.4 kept with an instance normalization too, where nothing reads it.
_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
_HALVES = ("enc.", "dec.")


def largest_difference(network, state, architecture=None, size=None, seed=0):
    """Runs a network and PyTorch's counterpart, made from the same weights, on the same random images.

    The images are uniform noise in [-1, 1]: a square one and, where the network takes any size, one that is wider than
    high. Decoders are asked with noise for a latent code.

    Args:
        network: `keras.Model` made by one of `tf_cyclegan.networks`, the weights of `state` loaded into it.
        state: dict, PyTorch's names to arrays in PyTorch's layout, of any float dtype. Prefixes of wrappers, old
            running statistics of instance normalizations and UNIT 1.1's other half have no effect.
        architecture: `Architecture` of PyTorch's network. Defaults to that of `network`.
        size: int, height of the images. Defaults to 64, or the least that the network's depth allows; a network of
            one size has that.
        seed: int, of the noise. Defaults to 0.

    Returns:
        float, the largest difference of any number in any output, or None if PyTorch is not installed. It is infinite
        if the shapes differ, and NaN if an output has one.

    Raises:
        ValueError: if `state` does not fit PyTorch's network, or `size` does not fit the network.

    Example:
        >>> generator = networks.resnet_generator(filters=4)
        >>> state = to_state_dict(generator)
        >>> largest_difference(generator, state) < 1e-4
        True
    """
    if importlib.util.find_spec("torch") is None:
        return None
    architecture = architecture or architecture_of(network)
    function, settings = architecture.function, architecture.settings
    module = _loaded_module(function, settings, state)
    random = np.random.default_rng(seed)
    differences = []
    for shape in _probe_shapes(network, function, settings, size):
        images = random.uniform(-1, 1, shape).astype("float32")
        pairs = zip(_keras_outputs(network, images), _torch_outputs(module, images), strict=True)
        differences += [_difference(*pair) for pair in pairs]
    return float(np.max(differences))


def _loaded_module(function, settings, state):
    import torch

    from reference.torch_networks import torch_network

    # Without memory, so that no random weights are drawn: the state's arrays become the weights.
    with torch.device("meta"):
        module = torch_network(function, settings)
    state = {name: torch.from_numpy(_plain(value)) for name, value in canonical(state).items()}
    _take_over_biases(module, state)
    # A residual block's branch has another name in one implementation.
    places = dict(zip(canonical(dict.fromkeys(module.state_dict(), 0)), module.state_dict(), strict=True))
    try:
        placed = {places.get(name, name): value for name, value in _kept(state, places).items()}
        module.load_state_dict(placed, strict=True, assign=True)
    except RuntimeError as error:
        raise ValueError(f"`state` must fit PyTorch's {function}. Received: {one_line(error)}") from None
    return module


def _plain(value):
    """In float32, unless it is a number of batches."""
    array = np.asarray(value)
    return np.array(array, array.dtype if array.dtype.kind in "iu" else "float32")


def _take_over_biases(module, state):
    """Gives convolutions a bias where the state has one: not every implementation leaves out the same ones."""
    import torch

    for name, part in module.named_modules():
        if isinstance(part, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            bias = next(iter(canonical({f"{name}.bias": 0})))
            part.bias = torch.nn.Parameter(torch.empty(part.out_channels, device="meta")) if bias in state else None


def _kept(state, places):
    """All that PyTorch must have a place for."""
    other_half = tuple(half for half in _HALVES if not any(name.startswith(half) for name in places))
    if len(other_half) == len(_HALVES):
        other_half = ()
    return {
        name: value
        for name, value in state.items()
        if name in places or not (name.endswith(_STATISTICS) or name.startswith(other_half))
    }


def _probe_shapes(network, function, settings, size):
    """Shapes of the images: one, and a second if the network takes any size."""
    _, height, width, channels = network.input_shape
    scale = _LATENT_SCALE if function.endswith("_decoder") else 1
    multiple, smallest = _depth(function, settings)
    size = max(_SIZE, smallest) if size is None else size
    if size < smallest or size % multiple:
        raise ValueError(f"`size` must be a multiple of {multiple}, at least {smallest}. Received: size={size}")
    wide = size + max(multiple, size // 2 // multiple * multiple)
    shapes = [(height or size // scale, width or size // scale)]
    if width is None:
        shapes.append((height or size // scale, wide // scale))
    return [(1, *shape, channels) for shape in shapes]


def _depth(function, settings):
    """What the sides of an image must be a multiple of, and the least that leaves pixels to normalize and to mirror."""
    signature = inspect.signature(getattr(networks, function)).parameters
    layers, scales, steps, enhancers = (
        settings.get(name, signature[name].default) if name in signature else 0
        for name in ("layers", "scales", "downsamplings", "enhancers")
    )
    if steps:
        multiple = 2 ** (steps + enhancers)
        return multiple, multiple if function == "unet_generator" else 2 * multiple
    return (4, 32) if not layers else (1, 2 ** (layers + max(2, scales - 1)))


def _keras_outputs(network, images):
    return [np.asarray(output, "float32") for output in keras.tree.flatten(network(images, training=False))]


def _torch_outputs(module, images):
    import torch

    with torch.inference_mode():
        outputs = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return [output.numpy().transpose(0, 2, 3, 1) for output in keras.tree.flatten(outputs)]


def _difference(ours, theirs):
    return float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("inf")
