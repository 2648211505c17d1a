"""The precision of a run that is given none: where the CPU has instructions for bfloat16, a measurement decides."""

import time

import tensorflow as tf

from tf_cyclegan.networks.layers import runtime
from tf_cyclegan.settings.data import parse_size
from tf_cyclegan.training import devices
from tf_cyclegan.training.resuming import kept_policy

# A gain below this is within what two measurements of the same differ by.
_LEAST_GAIN = 1.05
_SECONDS = 2.0
_LEAST_TURNS = 3
# Weights times pixels, of all images of a step. Networks below spend their time between operations, not in them.
_LEAST_WORK = 1e9
# Larger images are measured by a part of them: what a convolution gains depends on its channels.
_SIDE = 128


def chosen_policy(make_model, data, run, workers, report):
    """The Keras dtype policy of a run: as it is given, that of the run that goes on, the rule's, or the faster one.

    Args:
        make_model: callable `policy -> TranslationModel`.
        data: resolved `DataSettings`.
        run: resolved `RunSettings`.
        workers: `distribution.Workers`.
        report: callable, takes lines of text.

    Returns:
        str.
    """
    policy = _ruled_policy(run)
    if policy is None and workers.are_many:  # which must agree, and no two measurements do
        policy = devices.dtype_policy()
    return policy or measured_policy(make_model, data, report)


def planned_policy(run):
    """The dtype policy in which to count what a run costs, and words for the one that it will have."""
    policy = _ruled_policy(run)
    return policy or "float32", policy or "float32 or mixed_bfloat16, whichever is measured to be faster at the start"


def _ruled_policy(run):
    """The dtype policy of a run, None where a measurement is to decide."""
    precision = run.devices.precision
    if precision == "auto" and (kept := kept_policy(run.folder)):
        return kept
    measured = precision == "auto" and needs_measuring()
    return None if measured else devices.dtype_policy(precision)


def needs_measuring():
    """Whether no rule says which precision is faster: on CPUs with instructions for bfloat16 it depends on the network.

    Returns:
        bool; False also for GPUs and TPUs.
    """
    return runtime.does_the_computing() and (runtime.has("amx_bf16") or runtime.has("avx512_bf16"))


def measured_policy(make_model, data, report):
    """The Keras dtype policy that trains a model faster here, which is said in a line.

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
    """Whether the generator is too small for the precision to matter; it is then float32, without a measurement."""
    height, width = parse_size(data.image_size, "image_size")
    weights = model.generator(model.directions[0]).count_params()
    return weights * height * width * data.batch_size < _LEAST_WORK


def decision(float32_seconds, bfloat16_seconds):
    """What follows from the time of a step in both precisions.

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
    """Seconds of the fastest call of each function, called in turns for a while: other work only makes a call longer.

    Args:
        steps: list of callables without arguments.
        seconds: float, how long it may take in all, beyond the first call of each and three turns. Defaults to 2.
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
    """What most of a training step consists of: a generator's translation of a batch, and the gradient of it."""
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
    """`(batch, height, width)` of the run, or of a part that takes at most about as long as an image of 128 pixels."""
    largest = max(multiple, _SIDE // multiple * multiple)
    height, width = (min(side, largest) for side in parse_size(data.image_size, "image_size"))
    return max(1, min(data.batch_size, _SIDE**2 // (height * width))), height, width
