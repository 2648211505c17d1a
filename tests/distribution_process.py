"""Runs of the training program in a process of its own, which devices and workers must have: for test_distribution.py.

`python distribution_process.py devices RUN...` or, with TF_CONFIG, `python distribution_process.py RUN...`. A RUN is a
JSON object: `name` of the losses' file, `flags`, and optionally `policy`, and `kill` or `stop`, the step at which
this process sends itself SIGKILL or SIGTERM. The last line of its output is a JSON list of exit codes.

It computes in float64 unless told otherwise: replicas sum in another order than one device, and at the usual learning
rate such a difference in float32 can grow to a thousandth of a loss within ten steps, on one device too
(`benchmarks/rounding_error.py`).
"""

import json
import os
import signal
import sys
from pathlib import Path

import tensorflow as tf

from tf_cyclegan.cli import main
from tf_cyclegan.training import devices, precision
from tf_cyclegan.training.callbacks import Health

_check_losses = Health.on_train_batch_end


def run(name, flags, policy="float64", kill=None, stop=None):
    rows = []
    devices.dtype_policy = lambda *_: policy
    precision.needs_measuring = lambda: False
    devices.share_cores = lambda parts: (
        None
    )  # other threads sum in another order, and only runs of one process would have them

    def record(callback, batch, logs=None):
        rows.append({key: float(value) for key, value in logs.items()})
        for number, at in ((signal.SIGKILL, kill), (signal.SIGTERM, stop)):
            if int(callback.model.step.numpy()) == at:
                os.kill(os.getpid(), number)
        _check_losses(callback, batch, logs)

    Health.on_train_batch_end = record
    code = main(["train", *flags])
    Path(name).write_text(json.dumps(rows))
    return code


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "devices":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        arguments.pop(0)
    codes = [run(**json.loads(argument)) for argument in arguments]
    sys.stdout.write(f"{json.dumps(codes)}\n")
