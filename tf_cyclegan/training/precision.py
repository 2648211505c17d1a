"""The precision of a run with `--precision=auto`: by rule, or by a measurement on CPUs that know bfloat16."""

import time

import tensorflow as tf

from tf_cyclegan.networks.layers import runtime
from tf_cyclegan.settings.data import parse_size
from tf_cyclegan.training import devices
from tf_cyclegan.training.resuming import begun_settings

# Two measurements of the same step differ by less than this.
_LEAST_GAIN = 1.05
_SECONDS = 2.0
_LEAST_TURNS = 3
# Weights of the generator times pixels of a batch. A step with less spends its time between operations, not in them.
_LEAST_WORK = 1e9
# Larger images are measured by a part of them: the gain of a convolution depends on its channels.
_SIDE = 128


def chosen_policy(make_model, data, run, workers, report):
    """The Keras dtype policy of a run: the given one, the one it resumes with, the rule's, or the measured one.

    Args:
        make_model: callable `policy -> TranslationModel`.
        data: resolved `DataSettings`.
        run: resolved `RunSettings`.
        workers: `Workers`.
        report: callable, takes lines of text.

    Returns:
        str.
    """
    policy = _ruled_policy(run)
    if policy is None and workers.are_many:  # workers must agree, and their measurements may not
        policy = devices.dtype_policy()
    return policy or measured_policy(make_model, data, report)


def planned_policy(run):
    """The dtype policy by which a dry run counts costs, and a text that says which policy the run will have."""
    policy = _ruled_policy(run)
    return policy or "float32", policy or "float32 or mixed_bfloat16, whichever is measured to be faster at the start"


def _ruled_policy(run):
    """The dtype policy of a run, None where a measurement decides."""
    precision = run.devices.precision
    if precision != "auto":
        return devices.dtype_policy(precision)
    kept = (begun_settings(run.folder) or {}).get("dtype_policy")
    if kept in devices.POLICIES.values():
        return kept
    return None if needs_measuring() else devices.dtype_policy()


def needs_measuring():
    """Whether this is a CPU with instructions for bfloat16, where the faster precision depends on the network."""
    return runtime.does_the_computing() and (runtime.has("amx_bf16") or runtime.has("avx512_bf16"))


def measured_policy(make_model, data, report):
    """The Keras dtype policy that trains a model faster on this machine; reports it in one line.

    Args:
        make_model: callable `policy -> TranslationModel`.
        data: resolved `DataSettings`.
        report: callable, takes lines of text.

    Returns:
        `"float32"` or `"mixed_bfloat16"`.
    """
    model = make_model("float32")
    if is_tiny(model, data):
        return "float32"
    shape = _measured_shape(data, model.size_multiple)
    steps = [_gradient_step(each, shape) for each in (model, make_model("mixed_bfloat16"))]
    policy, words = decision(*fastest_turns(steps))
    report(words)
    return policy


def is_tiny(model, data):
    """Whether the generator is too small for its precision to matter."""
    height, width = parse_size(data.image_size, "image_size")
    weights = model.generator(model.directions[0]).count_params()
    return weights * height * width * data.batch_size < _LEAST_WORK


def decision(float32_seconds, bfloat16_seconds):
    """The faster precision, from the time of a step in each.

    Args:
        float32_seconds, bfloat16_seconds: floats.

    Returns:
        Pair of the Keras dtype policy and a line that says why.

    Example:
        >>> decision(0.3, 0.2)
        ('mixed_bfloat16', 'Precision bfloat16: 1.5 times as fast here as float32.')
    """
    gain = float32_seconds / bfloat16_seconds
    if gain >= _LEAST_GAIN:
        return "mixed_bfloat16", f"Precision bfloat16: {gain:.1f} times as fast here as float32."
    return "float32", f"Precision float32: bfloat16 would be {gain:.1f} times as fast here."


def fastest_turns(steps, seconds=_SECONDS, clock=time.perf_counter):
    """Seconds of the fastest call of each function; the functions are called in turns.

    The fastest call counts, as other work on the machine can only slow a call down.

    Args:
        steps: list of callables without arguments.
        seconds: float, time for all turns after the first call of each function; there are at least three turns.
            Defaults to 2.
        clock: callable, the seconds since some moment. Defaults to `time.perf_counter`.

    Returns:
        List of floats.
    """
    for step in steps:
        step()
    fastest = [float("inf")] * len(steps)
    begun, turns = clock(), 0
    while turns < _LEAST_TURNS or clock() - begun < seconds:
        for index, step in enumerate(steps):
            start = clock()
            step()
            fastest[index] = min(fastest[index], clock() - start)
        turns += 1
    return fastest


def _gradient_step(model, shape):
    """A function that translates a batch and computes the gradients, which is most of a training step."""
    model.to_last_stage()
    network = model.generator(model.directions[0])
    shape = (*shape, network.input_shape[-1])
    images = tf.zeros(shape) if model.takes_ids else tf.random.stateless_uniform(shape, (0, 0))

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            mean = tf.reduce_mean(tf.cast(network(images, training=True), "float32"))
        gradients = tape.gradient(mean, network.trainable_variables)
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients if gradient is not None])

    return lambda: step().numpy()


def _measured_shape(data, multiple):
    """`(batch, height, width)` of the run, or of a part of it with about the pixels of one image of 128x128."""
    largest = max(multiple, _SIDE // multiple * multiple)
    height, width = (min(side, largest) for side in parse_size(data.image_size, "image_size"))
    return max(1, min(data.batch_size, _SIDE**2 // (height * width))), height, width
