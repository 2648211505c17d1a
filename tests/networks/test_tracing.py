"""What is traced once for each shape, and what is not traced at all."""

import os
import subprocess
import sys

import tensorflow as tf

from tf_cyclegan.networks.layers.runtime import once_a_shape


def test_a_graph_traces_it_once_a_shape_and_eager_calls_never():
    calls = []

    @once_a_shape
    def double(x):
        calls.append(tf.inside_function())
        return 2 * x

    @tf.function
    def graph(x, y):
        return double(x) + double(x + 1), double(y)

    total, other = graph(tf.ones(3), tf.ones(4))
    assert calls == [True, True]
    assert total.numpy().tolist() == [6, 6, 6] and other.numpy().tolist() == [2, 2, 2, 2]
    assert double(tf.ones(2)).numpy().tolist() == [2, 2]
    assert calls == [True, True, False]


def test_what_is_not_inlined_has_gradients_too():
    square = once_a_shape(lambda x: x**2, inline=False)

    @tf.function
    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = square(x)
        return tape.gradient(y, x)

    assert slope(tf.constant(3.0)).numpy() == 6.0


_SLOPES_UNDER_XLA = """
import keras, tensorflow as tf
from tf_cyclegan.layers import InstanceNormalization

layer = InstanceNormalization()
layer.build((2, 8, 8, 3))

@tf.function(jit_compile=True)
def slope(x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 3)
    return tape.gradient(loss, layer.trainable_variables)

for seed in range(3):
    slope(keras.random.normal((2, 8, 8, 3), seed=seed))
"""


def test_xla_compiles_once_for_all_values(tmp_path):
    """XLA says what it compiles by files, and reads once in a process where to write them."""
    environment = {**os.environ, "XLA_FLAGS": f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"}
    subprocess.run([sys.executable, "-c", _SLOPES_UNDER_XLA], env=environment, check=True)
    assert len(list(tmp_path.glob("*slope*before_optimizations.txt"))) == 1
