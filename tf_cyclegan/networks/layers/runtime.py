"""What the processor and TensorFlow's kernels can do; and `once_a_shape`, which has TensorFlow trace less."""

import functools
from pathlib import Path

import tensorflow as tf


def has(flag):
    """Whether the processor has a feature, as `"amx_bf16"`."""
    try:
        return flag in Path("/proc/cpuinfo").read_text().split()
    except OSError:  # not Linux, where TensorFlow uses none of them
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


def once_a_shape(function=None, *, inline=True):
    """Has a graph under construction call `function` as one operation, traced once for each shape of its arguments.

    Called eagerly it is left as it is: with images of many sizes `tf.function` would warn of being traced again.
    For XLA it is left as it is too: sizes and axes that a traced function hands to its gradient are no constants there
    any more. XLA then takes all they may depend on, images and weights, for constants of the program, and compiles it
    anew whenever they change.

    Args:
        function: callable of tensors and constants.
        inline: bool, whether the runtime puts the function's operations in the place of each call. Otherwise it starts
            sooner, but keeps the arguments until the function is done. Defaults to True.
    """
    if function is None:
        return functools.partial(once_a_shape, inline=inline)
    attributes = {} if inline else {"_noinline": True}
    traced = tf.function(function, autograph=False, experimental_attributes=attributes)

    @functools.wraps(function)
    def call(*args):
        return (traced if tf.inside_function() and not is_for_xla() else function)(*args)

    return call


def is_for_xla():
    """Whether the graph under construction, or one around it, is compiled with XLA."""
    try:
        from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
    except ImportError:
        return False
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def computed_apart(x):
    """Has XLA write a tensor to memory in the order of its axes before anything reads it. Elsewhere `x` as it is.

    What reads it is then neither fused with what makes it nor given the layout of that: a flat tensor has but one.
    """
    if not is_for_xla():
        return x
    try:
        from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_optimization_barrier
    except ImportError:
        return x
    return tf.reshape(xla_optimization_barrier([tf.reshape(x, [-1])])[0], tf.shape(x))
