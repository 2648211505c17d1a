"""Less for TensorFlow to trace: a training step is thousands of operations, the same ones from layer to layer."""

import functools

import tensorflow as tf


def once_a_shape(function=None, *, inline=True):
    """Has a graph under construction call `function` as one operation, traced once for each shape of its arguments.

    Called eagerly it is left as it is: with images of many sizes `tf.function` would warn of being traced again.

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
        return (traced if tf.inside_function() else function)(*args)

    return call
