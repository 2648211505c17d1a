"""The device that computes: its name, its fast precision, and settings of TensorFlow that make it faster."""

import os

import tensorflow as tf

from tf_cyclegan.networks.layers import runtime
from tf_cyclegan.settings.checks import check_choice

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def dtype_policy(precision="auto"):
    """The Keras dtype policy for a precision.

    Args:
        precision: `"float32"`, `"bfloat16"`, `"float16"`, or `"auto"`: bfloat16 where `has_fast_bfloat16`. Defaults to
            `"auto"`.

    Returns:
        `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.

    Raises:
        ValueError: if `precision` is another.
    """
    check_choice("precision", precision, ("auto", *POLICIES))
    if precision == "auto":
        precision = "bfloat16" if has_fast_bfloat16() else "float32"
    return POLICIES[precision]


def has_fast_bfloat16():
    """Whether bfloat16 is faster than float32 by rule: on TPUs, GPUs since Ampere and CPUs with AMX."""
    if tf.config.list_logical_devices("TPU"):
        return True
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get("compute_capability", (0, 0)) >= (8, 0)
    return runtime.has("amx_bf16")


def share_cores(parts=2):
    """Makes independent parts of a step run at the same time on a CPU, each on its share of the cores.

    The two directions of a CycleGAN are such parts; small convolutions gain little from a second core. Call it before
    TensorFlow's first operation. It changes nothing after that, on GPUs, and where the environment sets the number of
    threads.

    Args:
        parts: int, parts of a step that do not wait for each other. Defaults to 2.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = any(f"TF_NUM_{kind}OP_THREADS" in os.environ for kind in ("INTRA", "INTER"))
    if given or cores < parts or tf.config.list_physical_devices("GPU"):
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(cores // parts)
        tf.config.threading.set_inter_op_parallelism_threads(parts)
    except RuntimeError:  # TensorFlow has begun, as in a program that calls the training itself
        return


def avoid_failing_remapper():
    """Turns off the remapper of TensorFlow's graph optimizer, which fails on CPUs and prints an error in each program.

    The remapper fuses a convolution, its bias and a leaky ReLU even if another operation reads the biased value: in
    training the gradient of the ReLU in each discriminator, and in a U-Net its bridges. It then leaves the whole graph
    unchanged. Where it does not fail, as for a ResNet in inference, it makes no difference in speed on CPUs.
    """
    if not any(map(tf.config.list_physical_devices, ("GPU", "TPU"))):
        tf.config.optimizer.set_experimental_options({"remapping": False})


def describe_device():
    """The name of the device that computes, for example `"CPU without AMX"`."""
    for kind in ("TPU", "GPU"):
        found = tf.config.list_physical_devices(kind)
        if found:
            name = tf.config.experimental.get_device_details(found[0]).get("device_name", kind)
            return f"{len(found)} x {name}"
    if runtime.has("avx512_bf16") and not runtime.has("amx_bf16"):
        return "CPU with AVX-512 BF16"
    return f"CPU {'with' if runtime.has('amx_bf16') else 'without'} AMX"
