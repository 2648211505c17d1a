"""Mean and variance of a map that is measured strip by strip, merged in float64."""

import math

import numpy as np
import tensorflow as tf

from tf_cyclegan.networks.layers.layer_normalization import LEAST_VARIANCE, LayerNormalization


class Moments:
    """Mean and squared deviations of each channel over all strips so far.

    Reference:
        [Chan et al., 1983](https://doi.org/10.1080/00031305.1983.10483115), equation 2.1.
    """

    def __init__(self):
        self.count = 0
        self.mean = np.zeros(())
        self.squares = np.zeros(())

    def add(self, count, shift, sums, squares):
        """Adds the answer of `strip_sums` for a strip of `count` pixels."""
        total = np.sum(np.asarray(sums, np.float64), axis=0)
        mean = np.asarray(shift, np.float64) + total / count
        squares = np.sum(np.asarray(squares, np.float64), axis=0) - total**2 / count
        both, distance = self.count + count, mean - self.mean
        self.squares = self.squares + squares + distance**2 * (self.count * count / both)
        self.mean = self.mean + distance * (count / both)
        self.count = both

    @property
    def variance(self):
        """The biased variance of each channel."""
        return self.squares / self.count


def strip_sums(x):
    """A rough mean of each channel of a strip; and of each row the sums of deviations from it and of their squares.

    A float32 sum of many large numbers has a larger error than the deviations of a flat image. Deviations from the mean
    are small, and a row is short enough for a precise sum.

    Args:
        x: tensor `(1, height, width, channels)`.

    Returns:
        Tensors `(channels,)`, `(height, channels)` and `(height, channels)`, in at least float32.
    """
    x = tf.cast(x[0], tf.float64 if x.dtype == tf.float64 else tf.float32)
    shift = tf.reduce_mean(x[:, ::8], (0, 1))
    deviations = x - shift
    return shift, tf.reduce_sum(deviations, 1), tf.reduce_sum(tf.square(deviations), 1)


def mean_and_factor(layer, moments):
    """The mean that a normalization subtracts from each channel, and the factor that it then multiplies by.

    Args:
        layer: `InstanceNormalization`, `BatchNormalization` by the image's statistics, or UNIT's `LayerNormalization`.
        moments: `Moments` of the layer's input.

    Returns:
        Two float64 arrays `(channels,)`.
    """
    gamma = 1.0 if layer.gamma is None else np.asarray(layer.gamma, np.float64)
    if isinstance(layer, LayerNormalization):
        mean, deviation = _of_all_channels(moments)
        return np.full_like(moments.mean, mean), gamma / (deviation + layer.epsilon)
    return moments.mean, gamma / np.sqrt(moments.variance + layer.epsilon)


def _of_all_channels(moments):
    """The mean over all channels, and the unbiased deviation from it."""
    mean = moments.mean.mean()
    squares = np.sum(moments.squares) + moments.count * np.sum((moments.mean - mean) ** 2)
    others = max(moments.count * moments.mean.size - 1, 1)
    return mean, math.sqrt(max(squares / others, LEAST_VARIANCE))
