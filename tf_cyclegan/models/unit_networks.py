"""The generators of UNIT: encoders and decoders, separate for each domain or with shared blocks."""

import keras

from tf_cyclegan.models import building
from tf_cyclegan.networks import (
    shared_latent_block,
    shared_latent_decoder,
    shared_latent_encoder,
    unit_decoder,
    unit_encoder,
)

AUTOENCODERS = ("encoder_a", "encoder_b", "decoder_a", "decoder_b")


def new_generators(model, given):
    """The generators of the directions ab and ba: an encoder of one domain, then a decoder of the other.

    Together they hold each encoder and each decoder once.

    Args:
        model: `UNIT` with its settings.
        given: dict, names to own networks or None.

    Returns:
        Pair of `keras.Model`, images to images.

    Raises:
        ValueError: if own networks do not fit together.
    """
    networks = _shared_autoencoders(model, given) if model.variant == "paper" else _separate_autoencoders(model, given)
    generators = []
    for here, there, channels in (("a", "b", model.image_shape[-1]), ("b", "a", model.channels_b)):
        image = keras.Input((None, None, channels), name="image", dtype=model.variable_dtype)
        translated = networks[f"decoder_{there}"](networks[f"encoder_{here}"](image))
        generators.append(keras.Model(image, translated, name=f"generator_{here}{there}"))
    return tuple(generators)


def _separate_autoencoders(model, given):
    settings = _settings(model) | {"residual_blocks": model.residual_blocks}
    networks = {}
    for domain, channels in (("a", model.image_shape[-1]), ("b", model.channels_b)):
        encoder, decoder = f"encoder_{domain}", f"decoder_{domain}"
        networks[encoder] = _built(given[encoder], (*model.image_shape[:2], channels)) or unit_encoder(
            (None, None, channels), **settings, name=encoder
        )
        code = getattr(networks[encoder], "output_shape", None)
        networks[decoder] = _built(given[decoder], code and code[1:]) or unit_decoder(
            channels, **settings, name=decoder
        )
    _check_together(networks)
    return networks


def _built(network, image_shape):
    """A given network, built if it is a `Sequential`; subclasses of `keras.Model` are refused later."""
    return (
        building.build_network(network, image_shape)
        if isinstance(network, keras.Sequential) and image_shape
        else network
    )


def _shared_autoencoders(model, given):
    for name in AUTOENCODERS:
        if given[name] is not None:
            raise ValueError(
                f"`{name}` must be None with `variant='paper'`, where the domains share blocks: take 'v1.1'. "
                f"Received: {given[name].name!r}"
            )
    last, first = (shared_latent_block(**_settings(model), name=f"shared_{part}") for part in ("encoder", "decoder"))
    settings = _settings(model) | {"residual_blocks": model.residual_blocks}
    networks = {}
    for domain, channels in (("a", model.image_shape[-1]), ("b", model.channels_b)):
        encoder, decoder = f"encoder_{domain}", f"decoder_{domain}"
        networks[encoder] = shared_latent_encoder((None, None, channels), shared=last, **settings, name=encoder)
        networks[decoder] = shared_latent_decoder(channels, shared=first, **settings, name=decoder)
    return networks


def _settings(model):
    return {"filters": model.filters, "initializer": model.initializer, "dtype": model.dtype_policy}


def _check_together(networks):
    """Raises `ValueError` unless all encoders and decoders have the same code, and no weights in common."""
    seen = {}
    for name, network in networks.items():
        channels, wanted = (_code_channels(networks, each) for each in (name, "encoder_a"))
        if channels != wanted:
            raise ValueError(
                f"`{name}` must have the {wanted} channels of the latent code that `encoder_a` answers. "
                f"Received: {channels} channels"
            )
        # A file would hold shared weights once, and loading would make two networks without shared weights.
        twins = {seen.setdefault(id(variable), name) for variable in network.variables} - {name}
        if twins:
            raise ValueError(
                f"`{name}` must not share weights with `{min(twins)}`: `variant='paper'` shares what the paper does. "
                f"Received: {network.name!r}"
            )


def _code_channels(networks, name):
    shape = getattr(networks[name], "output_shape" if name.startswith("encoder") else "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            f"`{name}` must be a functional network between images and codes, (batch, height, width, channels). "
            f"Received: {networks[name]!r}"
        )
    return shape[-1]
