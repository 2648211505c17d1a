"""Metrics of translation models; each is imported when it is first used."""

from tf_cyclegan.settings.imports import exports

_MODULES = {
    "FID": "frechet",
    "FeatureExtractor": "features",
    "FrechetDistance": "frechet",
    "KID": "kernel",
    "KernelDistance": "kernel",
    "Moments": "frechet",
    "class_accuracy": "segmentation",
    "class_iou": "segmentation",
    "confusion_matrix": "segmentation",
    "cycle_error": "unpaired",
    "distance_name": "features",
    "feature_extractor": "features",
    "frechet_distance": "frechet",
    "identity_distance": "unpaired",
    "inception_features": "inception",
    "inception_weights": "inception",
    "kernel_distance": "kernel",
    "luminance_correlation": "unpaired",
    "mean_absolute_difference": "paired",
    "pairwise_distance": "unpaired",
    "perceptual_distance": "paired",
    "pixel_accuracy": "segmentation",
    "psnr": "paired",
    "ssim": "paired",
}
__all__, __getattr__, __dir__ = exports(__name__, _MODULES)
