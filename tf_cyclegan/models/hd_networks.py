"""The networks that a `Pix2PixHD`'s settings ask for."""

from tf_cyclegan.models import parts
from tf_cyclegan.networks import coarse_and_fine, feature_encoder, global_generator, multiscale_discriminator
from tf_cyclegan.user_errors import renamed


def build(model, generator, discriminator, encoder):
    """Builds those networks that were given and wait for their first images."""
    channels = {
        generator: model.condition_channels + model.instance_features,
        discriminator: model.condition_channels + model.channels[model.direction[1]],
        encoder: model.channels_b,
    }
    for network, count in channels.items():
        parts.built(network, (*model.image_shape[:2], count))


def new_generators(model, name):
    """The global generator with a head of its own, or None where no stage trains it, and the whole generator."""
    settings = {
        "image_shape": (None, None, model.condition_channels + model.instance_features),
        "output_channels": model.channels[model.direction[1]],
        "filters": model.filters,
        "downsamplings": model.downsamplings,
        "residual_blocks": model.residual_blocks,
        "name": f"{name}_network" if model.label_classes else name,
        **_common(model),
    }
    if not model.enhancers:
        return None, global_generator(**settings)
    coarse, fine = coarse_and_fine(
        **settings, local_residual_blocks=model.local_residual_blocks, enhancers=model.enhancers
    )
    return coarse if model.stage_epochs[0] else None, fine


def new_discriminator(model):
    """The discriminator of question and answer."""
    target = model.direction[1]
    with renamed(**parts.OF_DISCRIMINATORS):
        return multiscale_discriminator(
            (None, None, model.condition_channels + model.channels[target]),
            filters=model.discriminator_filters,
            layers=model.discriminator_layers,
            scales=model.scales,
            name=f"discriminator_{target}",
            **_common(model),
        )


def new_encoder(model):
    """The encoder of the objects of real images."""
    return feature_encoder(
        (None, None, model.channels_b),
        model.instance_features,
        downsamplings=model.downsamplings,
        name="encoder_b",
        **_common(model),
    )


def _common(model):
    return {"normalization": model.normalization, "initializer": model.initializer, "dtype": model.dtype_policy}
