"""What the processor and TensorFlow's kernels for it can do."""

import functools
from pathlib import Path

import tensorflow as tf


def has(flag):
    """Whether the processor names a feature, as `"amx_bf16"`, among its own."""
    try:
        return flag in Path("/proc/cpuinfo").read_text().split()
    except OSError:  # not Linux: nothing of it that TensorFlow would use
        return False


@functools.cache
def does_the_computing():
    """Whether networks run on the CPU: there is neither a GPU nor a TPU."""
    return not (tf.config.list_physical_devices("GPU") or tf.config.list_logical_devices("TPU"))


@functools.cache
def convolves_with_eigen():
    """Whether convolutions run on Eigen's kernels: TensorFlow takes oneDNN's by itself where it expects them to win.

    That is on CPUs with AVX-512 VNNI, AMX or their like, and where the environment says `TF_ENABLE_ONEDNN_OPTS=1`.
    """
    if not does_the_computing():
        return False
    try:
        from tensorflow.python.util import _pywrap_util_port
    except ImportError:
        return False
    return not _pywrap_util_port.IsMklEnabled()
