"""The settings that each model has, and what they are where the user gives none. Imports no TensorFlow."""

# Run settings of all models, of the CycleGAN and pix2pix papers.
_RUN = {
    "image_size": "256",
    "batch_size": 1,
    "learning_rate": 2e-4,
    "schedule": "linear",
    "epochs": 100,
    "decay_epochs": 100,
    "decay_rate": 0.1,
}
_AUGMENTATION = {"augment": "", "augment_fill": 0.0}
_DISCRIMINATOR = {"discriminator_type": "patch", "discriminator_filters": 64, "discriminator_layers": 3}

# What is bundled for each model: a model of pairs needs pairs.
DATASETS = {"cyclegan": "emoji", "pix2pix": "emoji/lines", "pix2pixhd": "emoji/lines", "unit": "emoji"}

# A setting stands in a model's table only if the model has it. None leaves the value to the model.
MODEL_SETTINGS = {
    "cyclegan": {
        **_DISCRIMINATOR,
        "generator_type": "resnet",
        "filters": 64,
        "downsamplings": None,
        "residual_blocks": 9,
        "full_size_skip": False,
        "normalization": "instance",
        "dropout": 0.0,
        "padding": "reflect",
        "upsampling": "deconvolution",
        "initializer": "normal",
        "convolution_padding": "explicit",
        "gan_mode": "lsgan",
        "lambda_cycle": (10.0,),
        "lambda_identity": 0.5,
        "lambda_adversarial": 1.0,
        "lambda_gradient_penalty": 10.0,
        "pool_size": 50,
        **_AUGMENTATION,
    },
    "pix2pix": {
        **_DISCRIMINATOR,
        "direction": "ab",
        "generator_type": "unet",
        "filters": 64,
        "downsamplings": None,
        "residual_blocks": 9,
        "padding": "reflect",
        "upsampling": "deconvolution",
        "normalization": "batch",
        "inference_statistics": "image",
        "dropout": 0.5,
        "dropout_placement": "reference",
        "full_size_skip": False,
        "initializer": "normal",
        "gan_mode": "vanilla",
        "lambda_l1": 100.0,
        "lambda_adversarial": 1.0,
        "lambda_gradient_penalty": 10.0,
        "pool_size": 0,
        **_AUGMENTATION,
    },
    "pix2pixhd": {
        "direction": "ab",
        "label_classes": 0,
        "ignore_label": None,
        "instance_edges": False,
        "instance_features": 0,
        "feature_clusters": 10,
        "filters": 64,
        "downsamplings": 4,
        "residual_blocks": 9,
        "enhancers": 0,
        "local_residual_blocks": 3,
        "stage_epochs": (0, 0),
        "normalization": "instance",
        "initializer": "normal",
        "discriminator_filters": 64,
        "discriminator_layers": 3,
        "scales": 2,
        "gan_mode": "lsgan",
        "lambda_feature_matching": 10.0,
        "lambda_perceptual": 10.0,
        "perceptual_weights": "imagenet",
        "lambda_adversarial": 1.0,
        "pool_size": 0,
        **_AUGMENTATION,
    },
    # What its variants differ in is left to the model.
    "unit": {
        "variant": "v1.1",
        "filters": 64,
        "residual_blocks": None,
        "initializer": None,
        "discriminator_filters": 64,
        "discriminator_layers": None,
        "scales": None,
        "gan_mode": "lsgan",
        "lambda_cycle": None,
        "lambda_cycle_kl": None,
        "lambda_kl": None,
        "lambda_reconstruction": None,
        "lambda_adversarial": None,
        "pool_size": 0,
        **_AUGMENTATION,
    },
}
# What a model's run has otherwise than `_RUN`. UNIT halves its rate ten times in a run.
_MODEL_RUNS = {
    "pix2pixhd": {"image_size": "512"},
    "unit": {"learning_rate": 1e-4, "schedule": "step", "epochs": 180, "decay_epochs": 20, "decay_rate": 0.5},
}
# Below 256 pixels the CycleGAN paper takes 6 residual blocks.
_SMALL_IMAGES = {"cyclegan": {"residual_blocks": 6}, "pix2pix": {"residual_blocks": 6}}

_EMOJI_RUN = {"image_size": "64", "batch_size": 4, "learning_rate": 4e-4}
# Runs of minutes: few steps of more images at a higher rate.
_EMOJI = {
    # Without augmentation the discriminators soon know the drawings by heart, and drive the generators to speckles.
    "cyclegan": {
        "generator_type": "unet",
        "filters": 24,
        "residual_blocks": 6,
        # Patches of 34 pixels, not of 70: the styles differ in shading and edges, and 64 pixels are all there is.
        "discriminator_filters": 48,
        "discriminator_layers": 2,
        "upsampling": "resize",
        "augment": "color,translation,cutout",
        "augment_fill": 1.0,
        "minutes": 10.0,
        "epochs": 6,
        "decay_epochs": 6,
    },
    # Batches of one: batch normalization must see in training what it sees in use.
    "pix2pix": {
        "filters": 32,
        "discriminator_filters": 32,
        "batch_size": 1,
        "learning_rate": 2e-4,
        "epochs": 3,
        "decay_epochs": 5,
    },
    "pix2pixhd": {
        "filters": 24,
        "downsamplings": 3,
        "residual_blocks": 4,
        "discriminator_filters": 32,
        "epochs": 6,
        "decay_epochs": 14,
    },
    "unit": {"filters": 16, "residual_blocks": 3, "discriminator_filters": 32, "epochs": 8, "decay_epochs": 4},
}
# Of CycleGAN's U-Net: drawings of 64 pixels keep their lines and faces.
_EMOJI_UNET = {"downsamplings": 4, "full_size_skip": True}


def recipe(model, emoji, small, generator_type=None):
    """The values of all settings of a run that depend on the model or the data.

    Args:
        model: str, name of the model.
        emoji: bool, whether the data are the bundled drawings.
        small: bool, whether the images are below 256 pixels.
        generator_type: str, as the user chose it; None for the recipe's. Defaults to None.

    Returns:
        dict.
    """
    values = {**_RUN, **MODEL_SETTINGS[model], **_MODEL_RUNS.get(model, {})}
    values |= _SMALL_IMAGES.get(model, {}) if small else {}
    values |= {**_EMOJI_RUN, **_EMOJI.get(model, {})} if emoji else {}
    bridged = emoji and model == "cyclegan" and generator_type in (None, "unet")
    return values | (_EMOJI_UNET if bridged else {})


def unused_settings(model):
    """The settings that other models have and this one does not."""
    return sorted({name for settings in MODEL_SETTINGS.values() for name in settings} - set(MODEL_SETTINGS[model]))
