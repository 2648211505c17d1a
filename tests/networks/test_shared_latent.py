"""The networks of UNIT: the reference's numbers, sizes, settings and initialization."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import channels_last, check_named, golden, part, random_images

from tf_cyclegan import networks
from tf_cyclegan.models import losses
from tf_cyclegan.networks.layers.layer_normalization import LayerNormalization
from tf_cyclegan.pytorch import load_state_dict

BUILDERS = {
    "unit_encoder": lambda **s: networks.unit_encoder(filters=4, residual_blocks=1, **s),
    "unit_decoder": lambda **s: networks.unit_decoder(filters=4, residual_blocks=1, **s),
    "shared_latent_encoder": lambda **s: networks.shared_latent_encoder(filters=4, residual_blocks=1, **s),
    "shared_latent_decoder": lambda **s: networks.shared_latent_decoder(filters=4, residual_blocks=1, **s),
    "unit_discriminator": lambda **s: networks.unit_discriminator((None, None, 3), filters=4, layers=2, scales=2, **s),
}
builders = pytest.mark.parametrize("name", BUILDERS)


def question(name):
    return random_images(2, 8, 12, channels=16) if "decoder" in name else random_images(2, 32, 48)


# ---- the reference's numbers ----


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, channels_last(theirs), rtol=0, atol=1e-4)


def test_encoder_and_decoder_agree_with_the_reference():
    arrays, state = golden("unit_v11_vae_generator")
    encoder = networks.unit_encoder(filters=6, residual_blocks=2)
    decoder = networks.unit_decoder(filters=6, residual_blocks=2)
    for network in (encoder, decoder):
        load_state_dict(network, state)
    latent = encoder(channels_last(arrays["input"]))
    assert_close(latent, arrays["latent"])
    assert_close(decoder(latent), arrays["output_mean"])
    assert_close(decoder(latent + channels_last(arrays["noise"])), arrays["output_noisy"])


def test_discriminator_and_its_losses_agree_with_the_reference():
    arrays, state = golden("unit_v11_multiscale_discriminator")
    discriminator = networks.unit_discriminator((None, None, 3), filters=6)
    load_state_dict(discriminator, state)
    fake, real = (discriminator(channels_last(arrays[images])) for images in ("fake", "real"))
    assert len(fake) == 3
    for scale, scores in enumerate(fake):
        assert_close(scores, arrays[f"output/scale{scale}"])
    loss = 2 * losses.discriminator_adversarial_loss(real, fake)
    assert float(loss) == pytest.approx(arrays["discriminator_loss"].item(), abs=1e-4)
    assert float(losses.generator_adversarial_loss(fake)) == pytest.approx(arrays["generator_loss"].item(), abs=1e-4)


def test_networks_with_shared_blocks_agree_with_the_reference():
    arrays, _ = golden("unit_shared_latent")
    encoder, decoder = networks.shared_latent_encoder(filters=6), networks.shared_latent_decoder(filters=6)
    load_state_dict(encoder, part(arrays, "encoder/"))
    load_state_dict(decoder, part(arrays, "generator/"))
    assert_close(encoder(channels_last(arrays["input"])), arrays["mean"])
    assert_close(decoder(channels_last(arrays["latent"])), arrays["output"])


def test_each_half_of_a_file_loads_alone():
    _, state = golden("unit_v11_vae_generator")
    whole, half = (networks.unit_decoder(filters=6, residual_blocks=2) for _ in range(2))
    load_state_dict(whole, state)
    load_state_dict(half, {name: value for name, value in state.items() if name.startswith("dec.")})
    for ours, theirs in zip(whole.weights, half.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("key", ["dec.model.2.conv.bias", "dec.model.2.norm.gamma", "dec.model.4.norm.beta"])
def test_what_layer_normalization_does_not_remove_must_be_there(key):
    _, state = golden("unit_v11_vae_generator")
    with pytest.raises(ValueError, match=key):
        load_state_dict(networks.unit_decoder(filters=6, residual_blocks=2), {**state} | {key: np.zeros(5)})
    del state[key]
    with pytest.raises(ValueError, match=key):
        load_state_dict(networks.unit_decoder(filters=6, residual_blocks=2), state)


def test_left_over_blocks_are_named():
    _, state = golden("unit_v11_vae_generator")
    with pytest.raises(ValueError, match="enc.model.3.model.1"):
        load_state_dict(networks.unit_encoder(filters=6, residual_blocks=1), state)


# ---- layer normalization ----


def by_definition(x, gamma, beta):
    mean = x.mean((1, 2, 3), keepdims=True)
    deviation = x.std((1, 2, 3), keepdims=True, ddof=1)
    return (x - mean) / (deviation + 1e-5) * gamma + beta


@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_layer_normalization_is_the_formula(size):
    x = (3 + size * random_images(2, 6, 5, channels=4)).astype("float64")
    layer = LayerNormalization(gamma_initializer="random_normal", beta_initializer="random_normal", dtype="float64")
    np.testing.assert_allclose(layer(x), by_definition(x, layer.gamma.numpy(), layer.beta.numpy()), atol=1e-9)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_layer_normalization_keeps_its_statistics_in_float32(dtype):
    x = tf.cast(30 + 10 * random_images(2, 16, channels=4), dtype.removeprefix("mixed_"))
    layer = LayerNormalization(gamma_initializer="ones", dtype=dtype)
    assert layer(x).dtype == x.dtype
    np.testing.assert_allclose(tf.cast(layer(x), "float32"), by_definition(np.float32(x), 1, 0), atol=2e-2)


def test_layer_normalization_of_unknown_sizes():
    layer = LayerNormalization()
    unknown = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 4))])
    x = random_images(3, 10, 7, channels=4)
    np.testing.assert_allclose(unknown(x), layer(x), atol=1e-6)


def test_layer_normalization_of_a_flat_image_has_a_finite_slope():
    layer, x = LayerNormalization(), tf.fill((1, 4, 4, 3), 0.3)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x) ** 2) + tf.reduce_sum(layer(x))
    assert np.isfinite(layer(x)).all() and np.isfinite(tape.gradient(y, x)).all()


def test_layer_normalization_comes_back_from_its_config():
    layer = LayerNormalization(epsilon=1e-3, gamma_initializer="ones", dtype="mixed_bfloat16", name="norm")
    assert LayerNormalization.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="`epsilon`.*-1"):
        LayerNormalization(epsilon=-1.0)


# ---- what the builders promise ----


def test_sizes():
    assert networks.unit_encoder(filters=4)(question("encoder")).shape == (2, 8, 12, 16)
    assert networks.unit_decoder(5, filters=4)(question("decoder")).shape == (2, 32, 48, 5)
    assert networks.shared_latent_encoder(filters=4)(question("encoder")).shape == (2, 8, 12, 16)
    assert networks.shared_latent_decoder(1, filters=4)(question("decoder")).shape == (2, 32, 48, 1)
    scores = networks.unit_discriminator((64, 72, 3), filters=4).output_shape
    assert scores == [(None, 4, 4, 1), (None, 2, 2, 1), (None, 1, 1, 1)]


@builders
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_networks_answer_in_at_least_float32(name, policy):
    network = BUILDERS[name](dtype=policy)
    for output in keras.tree.flatten(network(question(name))):
        assert output.dtype == ("float64" if policy == "float64" else "float32")
        assert np.isfinite(output).all()
    assert {w.dtype for w in network.weights} == {"float64" if policy == "float64" else "float32"}


@builders
def test_networks_take_the_ambient_policy_and_come_back(name, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = BUILDERS[name]()
    keras.config.set_dtype_policy("float32")
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    pairs = zip(*(keras.tree.flatten(one(question(name))) for one in (network, again)), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)


def _convolutions(network, biased=None):
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    found = [layer for layer in network._flatten_layers() if isinstance(layer, kinds)]
    return [layer for layer in found if biased is None or layer.use_bias == biased]


def test_biases_are_where_no_normalization_removes_them():
    assert _convolutions(BUILDERS["unit_encoder"](), biased=True) == []
    biased = {layer.name for layer in _convolutions(BUILDERS["unit_decoder"](), biased=True)}
    assert biased == {"decoder_up1_conv", "decoder_up2_conv", "decoder_head_conv"}
    assert [layer.name for layer in _convolutions(BUILDERS["shared_latent_decoder"](), biased=True)] == [
        "decoder_head_conv"
    ]
    assert _convolutions(BUILDERS["unit_discriminator"](), biased=False) == []


def test_initial_weights():
    encoder, decoder = networks.unit_encoder(filters=32), networks.unit_decoder(filters=32)
    for layer in _convolutions(encoder)[1:] + _convolutions(decoder):
        fan_in = np.prod(layer.kernel.shape[:3])
        assert layer.kernel.numpy().std() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
        assert layer.bias is None or not layer.bias.numpy().any()
    gamma = decoder.get_layer("decoder_up1_normalization").gamma.numpy()
    assert 0 <= gamma.min() < 0.2 and 0.8 < gamma.max() < 1
    for name in ("shared_latent_encoder", "unit_discriminator"):
        kernel = _convolutions(getattr(networks, name)(filters=32))[-2].kernel.numpy()
        assert kernel.std() == pytest.approx(0.02, rel=0.05)


def test_a_shared_block_is_one():
    shared = networks.shared_latent_block(filters=4)
    encoders = [networks.shared_latent_encoder(filters=4, residual_blocks=1, shared=shared) for _ in "ab"]
    ours, theirs = ({id(variable) for variable in encoder.variables} for encoder in encoders)
    assert ours & theirs == {id(variable) for variable in shared.variables}
    with pytest.raises(ValueError, match="`shared`.*32.*16"):
        networks.shared_latent_encoder(filters=8, shared=shared)


@pytest.mark.parametrize("layers, scales, smallest", [(4, 3, 61), (4, 1, 16), (2, 2, 7), (1, 3, 5)])
def test_the_smallest_image_of_the_discriminator(layers, scales, smallest):
    settings = {"filters": 1, "layers": layers, "scales": scales}
    scores = networks.unit_discriminator((smallest, smallest, 3), **settings)(random_images(1, smallest))
    assert np.isfinite(keras.tree.flatten(scores)[-1]).all()
    with pytest.raises(ValueError, match=f"`image_shape`.*at least {smallest}.*`layers`.*`scales`"):
        networks.unit_discriminator((smallest - 1, 256, 3), **settings)


@pytest.mark.parametrize(
    "builder, wrong",
    [
        ("unit_encoder", {"image_shape": (30, 32, 3)}),
        ("unit_encoder", {"image_shape": (4, 32, 3)}),
        ("unit_encoder", {"filters": 0}),
        ("unit_encoder", {"residual_blocks": -1}),
        ("unit_encoder", {"initializer": "zeroes"}),
        ("unit_decoder", {"output_channels": 0}),
        ("unit_decoder", {"residual_blocks": 1.5}),
        ("shared_latent_encoder", {"filters": 2.5}),
        ("shared_latent_decoder", {"output_channels": -3}),
        ("shared_latent_block", {"filters": -4}),
        ("unit_discriminator", {"scales": 0}),
        ("unit_discriminator", {"layers": 0}),
        ("unit_discriminator", {"filters": "many"}),
    ],
)
def test_wrong_settings_are_named(builder, wrong):
    check_named(getattr(networks, builder), wrong)
