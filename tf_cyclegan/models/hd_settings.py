"""What settings of a `Pix2PixHD` do not fit together."""

from tf_cyclegan.checks import check_choice, check_integer, check_weight
from tf_cyclegan.models import parts
from tf_cyclegan.models.augmentation import check_fill
from tf_cyclegan.models.stages import check_stage_epochs
from tf_cyclegan.networks.coarse_to_fine import check_depth
from tf_cyclegan.networks.instance_maps import check_ignore_label

# wgangp lacks its penalty here, as in the reference.
GAN_MODES = ("lsgan", "vanilla", "hinge")
_WEIGHTS = ("lambda_feature_matching", "lambda_perceptual", "lambda_adversarial")
_SMALLEST = {
    "channels_b": 1,
    "label_classes": 0,
    "instance_features": 0,
    "feature_clusters": 1,
    "downsamplings": 1,
    "enhancers": 0,
    "local_residual_blocks": 0,
    "scales": 1,
}


def check_settings(model):
    """Raises `ValueError` where a setting of a `Pix2PixHD` is out of its range, or does not fit to another."""
    check_choice("direction", model.direction, ("ab", "ba"))
    check_choice("gan_mode", model.gan_mode, GAN_MODES)
    check_choice("instance_edges", model.instance_edges, (False, True))
    for name, smallest in _SMALLEST.items():
        check_integer(name, getattr(model, name), smallest)
    check_depth(model.image_shape, model.downsamplings + model.enhancers)
    check_fill(model.augment_fill)
    _check_weights(model)
    _check_maps(model)
    check_stage_epochs(model.stage_epochs, model.enhancers)
    parts.check_pool(model.pool_size, model.image_shape)
    if model.pool_size and model.stage_epochs[0]:
        raise ValueError(
            "`pool_size` must be 0 when `stage_epochs` begins with the global generator, whose images are smaller. "
            f"Received: pool_size={model.pool_size}, stage_epochs={model.stage_epochs}"
        )


def check_networks(model, generator_network, discriminator_network):
    """Raises `ValueError` where own networks, or None in their place, do not do what the settings ask for."""
    if generator_network is not None and any(model.stage_epochs):
        raise ValueError(
            "`stage_epochs` must be (0, 0) with an own `generator_network`, whose parts are unknown. "
            f"Received: stage_epochs={model.stage_epochs}"
        )
    outputs = getattr(discriminator_network, "outputs", ())
    if model.lambda_feature_matching and len(outputs) == 1:
        raise ValueError(
            "`discriminator_network` must answer with features and scores, as `multiscale_discriminator`, unless "
            f"`lambda_feature_matching` is 0. Received: {discriminator_network.name!r} with one output"
        )


def _check_weights(model):
    for name in _WEIGHTS:
        check_weight(name, getattr(model, name))
    if not any(getattr(model, name) for name in _WEIGHTS):
        raise ValueError(
            "`lambda_feature_matching`, `lambda_perceptual` and `lambda_adversarial` must not all be 0: nothing is "
            "left to learn from. Received: 0, 0 and 0"
        )
    channels = model.channels[model.direction[1]]
    if model.lambda_perceptual and channels not in (1, 3):
        raise ValueError(
            "`lambda_perceptual` must be 0 unless the generated images have 1 or 3 channels. "
            f"Received: lambda_perceptual={model.lambda_perceptual} with {channels} channels"
        )


def _check_maps(model):
    channels = model.image_shape[-1]
    if model.label_classes and (channels not in (1, 2) or model.direction != "ab"):
        raise ValueError(
            "`label_classes` must be 0 unless `direction` is 'ab' and `image_shape` ends in 1 (a label map) or 2 (with "
            f"an instance map). Received: label_classes={model.label_classes}, direction={model.direction!r}, "
            f"image_shape={model.image_shape}"
        )
    if model.ignore_label is not None and not model.label_classes:
        raise ValueError(f"`ignore_label` needs `label_classes`. Received: ignore_label={model.ignore_label}")
    check_ignore_label(model.ignore_label, model.label_classes)
    for name in ("instance_edges", "instance_features"):
        if getattr(model, name) and not (model.label_classes and channels == 2):
            raise ValueError(
                f"`{name}` needs `label_classes`, and an `image_shape` that ends in 2: label map and instance map. "
                f"Received: {name}={getattr(model, name)}, label_classes={model.label_classes}, "
                f"image_shape={model.image_shape}"
            )
