"""Keras layers of the networks: padding as PyTorch defines it, instance and batch normalization."""

from tf_cyclegan.networks.layers.normalization import INFERENCE_STATISTICS, BatchNormalization, InstanceNormalization
from tf_cyclegan.networks.layers.padding import Cropping2D, ReflectionPadding2D, ReplicationPadding2D

__all__ = [
    "INFERENCE_STATISTICS",
    "BatchNormalization",
    "Cropping2D",
    "InstanceNormalization",
    "ReflectionPadding2D",
    "ReplicationPadding2D",
]
