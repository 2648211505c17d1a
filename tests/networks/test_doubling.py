"""A convolution that doubles its images: nearest-neighbor and a convolution in one, in networks and in old files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, random_images
from keras import layers
from test_convolution import derivatives

from tf_cyclegan import CycleGAN
from tf_cyclegan.inference.export import formats
from tf_cyclegan.inference.strips.walking import flattened
from tf_cyclegan.networks import resnet_generator, unet_generator
from tf_cyclegan.networks.blocks import Blocks
from tf_cyclegan.networks.layers.convolution import Conv2D, doubling_kernel
from tf_cyclegan.pytorch import network_from_state_dict, to_state_dict
from tf_cyclegan.training import cost
from tf_cyclegan.weights.pytorch.architecture import architecture_of


def in_two_steps(x, kernel):
    enlarged = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
    return tf.nn.conv2d(enlarged, kernel, 1, "SAME")


def doubling(filters=2, kernel_size=3, **settings):
    return Conv2D(filters, kernel_size, padding="same", doubles=True, **settings)


def test_a_kernel_by_hand():
    kernel = np.arange(1.0, 10).reshape(3, 3, 1, 1)
    expected = [[9, 17, 15, 7], [15, 28, 24, 11], [9, 16, 12, 5], [3, 5, 3, 1]]
    np.testing.assert_array_equal(doubling_kernel(tf.constant(kernel))[..., 0, 0], expected)


def test_one_pixel_by_hand():
    layer = doubling(1)
    layer.build((None, 1, 1, 1))
    layer.set_weights([np.arange(1.0, 10).reshape(3, 3, 1, 1), np.array([100.0])])
    answer = layer(np.full((1, 1, 1, 1), 2.0, "float32"))
    # Each of the four pixels meets itself and its neighbors, and zeros on two sides.
    np.testing.assert_array_equal(answer[0, ..., 0], [[156, 148], [132, 124]])


@pytest.mark.parametrize("runs", ["eagerly", "as a graph", "under XLA"])
@pytest.mark.parametrize(
    ("shape", "size"), [((2, 8, 8), 3), ((2, 7, 5), 3), ((1, 1, 1), 3), ((3, 1, 6), 3), ((1, 4, 3), (1, 5))]
)
def test_values_and_derivatives_are_those_of_two_steps(shape, size, runs):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(*shape, 3)), "float32")
    layer = doubling(4, size)
    kernel = tf.constant(rng.normal(size=(*layer.kernel_size, 3, 4)), "float32")

    def both(x, kernel):
        return derivatives(layer.convolution_op, x, kernel), derivatives(in_two_steps, x, kernel)

    function = both if runs == "eagerly" else tf.function(both, jit_compile=runs == "under XLA")
    for ours, theirs in zip(*function(x, kernel), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


# A kernel that is bfloat16 itself needs no rounding before its weights are summed. Eigen adds up transposed
# convolutions in float16.
@pytest.mark.parametrize(
    "dtype, most", [("float64", 3), ("mixed_bfloat16", 1.05), ("bfloat16", 1.5), ("mixed_float16", 4)]
)
def test_dtypes_are_as_exact_as_in_two_layers(dtype, most):
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 16, 16, 32)), "float64")
    ours = keras.Sequential([doubling(16, dtype=dtype)])
    theirs = keras.Sequential([layers.UpSampling2D(2, dtype=dtype), layers.Conv2D(16, 3, padding="same", dtype=dtype)])
    exact = keras.Sequential([doubling(16, dtype="float64")])
    answers = []
    for network in (ours, theirs, exact):
        network.build(x.shape)
        network.set_weights(ours.get_weights())
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = network(tf.cast(x, network.layers[0].compute_dtype))
            loss = tf.reduce_sum(tf.cast(y, "float64") ** 2)
        kernel_gradient, x_gradient = tape.gradient(loss, (network.trainable_weights[0].value, x))
        answers.append([np.asarray(each, "float64") for each in (y, kernel_gradient, x_gradient)])
    for of_one, of_two, right in zip(*answers, strict=True):
        errors = [np.sqrt(np.mean((answer - right) ** 2)) for answer in (of_one, of_two)]
        assert errors[0] <= most * errors[1] + 1e-15 * np.abs(right).max()


def test_sizes_known_only_at_run_time():
    layer = doubling(2)
    layer.build((None, None, None, 3))
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for shape in ((1, 5, 4, 3), (3, 2, 7, 3)):
        x = keras.random.normal(shape, seed=0)
        np.testing.assert_allclose(traced(x), in_two_steps(x, layer.kernel.value), atol=1e-5)
    assert layer(keras.Input((None, 6, 3))).shape == (None, None, 12, 2)
    assert layer.compute_output_shape((None, 5, None, 3)) == (None, 10, None, 2)


def test_a_configuration_comes_back():
    layer = doubling(2, activation="relu", use_bias=False, dtype="mixed_bfloat16", name="up1_conv")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and again.doubles and again.name == "up1_conv"
    config = layer.get_config()
    del config["doubles"]  # as files from before it have it
    assert not Conv2D.from_config(config).doubles


@pytest.mark.parametrize(
    "name, value",
    [
        ("strides", 2),
        ("padding", "valid"),
        ("dilation_rate", 2),
        ("groups", 2),
        ("data_format", "channels_first"),
        ("kernel_size", 4),
    ],
)
def test_other_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .* with `doubles`. Received: {name}="):
        Conv2D(**{"filters": 2, "kernel_size": 3, "padding": "same", name: value}, doubles=True)


# ---- networks as they were before, of two layers ----


def two_layers(blocks, x, filters, name, upsampling, use_bias=True, kernel_size=3):
    assert upsampling == "resize"
    x = layers.UpSampling2D(2, dtype=blocks.dtype, name=f"{name}_resize")(x)
    return blocks.convolution(x, filters, 3, name, padding="same", use_bias=use_bias)


def resnet():
    return resnet_generator(filters=4, residual_blocks=1, upsampling="resize")


def unet():
    return unet_generator((None, None, 3), filters=4, downsamplings=3, upsampling="resize", full_size_skip=True)


def as_before(make):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blocks, "upsample", two_layers)
        old = make()
    for index, weight in enumerate(old.weights):
        weight.assign(np.random.RandomState(index).uniform(-0.3, 0.3, weight.shape))
    return old


@pytest.mark.parametrize("make", [resnet, unet])
def test_weights_of_two_layers_fit_by_order(make):
    old, new = as_before(make), make()
    assert [weight.path for weight in new.weights] == [weight.path for weight in old.weights]
    new.set_weights(old.get_weights())
    np.testing.assert_allclose(new(random_images(2, 16)), old(random_images(2, 16)), atol=1e-5)


@pytest.mark.parametrize("make", [resnet, unet])
@pytest.mark.parametrize("is_old", [True, False], ids=["old", "new"])
def test_a_file_of_a_network_loads_and_translates(make, is_old, tmp_path):
    network = as_before(make) if is_old else make()
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(random_images(1, 16)), network(random_images(1, 16)))
    assert architecture_of(again).settings["upsampling"] == "resize"
    assert any("Enlargement" in type(node.rule).__name__ for node in flattened(again)) == is_old


@pytest.mark.parametrize("generator", [{"residual_blocks": 1}, {"generator_type": "unet", "full_size_skip": True}])
def test_an_old_file_of_a_model_loads_into_new_networks(generator, tmp_path):
    def make():
        return CycleGAN(**SMALL, **{"downsamplings": 2, **generator}, upsampling="resize")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blocks, "upsample", two_layers)
        old = make()
    for index, weight in enumerate(old.generator_ab.weights):
        weight.assign(np.random.RandomState(index).uniform(-0.3, 0.3, weight.shape))
    old.save(tmp_path / "model.keras")
    new = keras.models.load_model(tmp_path / "model.keras").generator_ab
    assert any(getattr(layer, "doubles", False) for layer in new._flatten_layers())
    for ours, theirs in zip(new.weights, old.generator_ab.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(new(random_images(1, 16)), old.generator_ab(random_images(1, 16)), atol=1e-5)


@pytest.mark.parametrize("is_old", [True, False], ids=["old", "new"])
def test_pytorchs_names_there_and_back(is_old):
    network = as_before(resnet) if is_old else resnet()
    state = to_state_dict(network)
    assert any(".block." in name for name in state)  # PyTorch's implementation that resizes names them so
    assert sorted(state) == sorted(to_state_dict(resnet()))
    again = network_from_state_dict(state)
    np.testing.assert_allclose(again(random_images(1, 16)), network(random_images(1, 16)), atol=1e-5)


@pytest.mark.parametrize("is_old", [True, False], ids=["old", "new"])
def test_a_unet_that_resizes_has_no_counterpart(is_old):
    def make():
        return unet_generator((16, 16, 3), filters=4, downsamplings=2, upsampling="resize")

    with pytest.raises(ValueError, match="upsampling='resize'"):
        to_state_dict(as_before(make) if is_old else make())


# ---- what it costs, and other runtimes ----


def test_fewer_multiplications_are_counted():
    costs = []
    for network in (
        doubling(4, use_bias=False),
        keras.Sequential([layers.UpSampling2D(2), Conv2D(4, 3, padding="same")]),
    ):
        network.build((None, 8, 8, 3))
        costs.append(cost._cost(network, [tf.TensorSpec((1, 8, 8, 3))])[0])
    assert costs == [8 * 8 * 16 * 3 * 4, 16 * 16 * 9 * 3 * 4]


@pytest.mark.skipif(not formats.is_installed("tf2onnx"), reason="tf2onnx is not installed")
def test_onnx_has_the_summed_kernels_as_constants():
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(formats.FORMATS["onnx"].convert(unet())).graph
    constants = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    transposed = [node for node in graph.node if node.op_type == "ConvTranspose"]
    assert [constants.get(node.input[1]) for node in transposed] == [[16, 8, 4, 4], [16, 4, 4, 4], [8, 2, 4, 4]]


@pytest.mark.skipif(not formats.is_installed("ai_edge_litert.interpreter"), reason="ai-edge-litert is not installed")
def test_tflite_has_the_smaller_kernels():
    from ai_edge_litert.interpreter import Interpreter

    network = unet()
    data = formats.FORMATS["tflite_int8"].convert(network)
    shapes = [tuple(tensor["shape"]) for tensor in Interpreter(model_content=data).get_tensor_details()]
    assert (8, 3, 3, 16) in shapes and (8, 4, 4, 16) not in shapes
    image = random_images(2, 16, 24)
    expected = network(image)
    np.testing.assert_allclose(
        formats.FORMATS["tflite"].run(formats.FORMATS["tflite"].convert(network), image), expected, atol=1e-4
    )
