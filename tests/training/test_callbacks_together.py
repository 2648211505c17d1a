"""All callbacks at once on a real CycleGAN, wired as a training program does it."""

import io
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from callbacks_fake import images

from tf_cyclegan import CycleGAN
from tf_cyclegan.training.callbacks import (
    Checkpoints,
    Health,
    InputWait,
    Interrupt,
    Progress,
    SampleGrid,
    TrainingDiverged,
)
from tf_cyclegan.weights.run_files import load_newest

STEPS = 4


def new_model():
    keras.utils.set_random_seed(0)
    settings = dict(filters=4, residual_blocks=1, discriminator_filters=4, discriminator_layers=1, pool_size=2)
    model = CycleGAN(image_shape=(32, 32, 3), **settings)
    model.compile()
    return model


def dataset(first=0, nan_at=None):
    a, b = images(STEPS, 32, seed=1), images(STEPS, 32, seed=2)
    if nan_at is not None:
        a[nan_at] = np.nan
    return tf.data.Dataset.from_tensor_slices((a[first:], b[first:])).batch(1)


def train(folder, model, epochs, first_step=0, stop_at=None, data=None):
    """What training.py does, in short: `stop_at` sends a SIGTERM before that step."""
    stream, wait = io.StringIO(), InputWait()
    progress = Progress(epochs * STEPS, 1, first_step, STEPS, epochs, stream=stream, input_wait=wait)
    a, b = images(2, 32, seed=1), images(2, 32, seed=2)

    def signal_at(batch, logs):
        if int(model.step) == stop_at:
            signal.raise_signal(signal.SIGTERM)

    callbacks = [
        wait,
        Interrupt(report=progress.write),
        Health(a, b, names=lambda step: ([f"a{step}"], [f"b{step}"]), report=progress.write),
        Checkpoints(folder / "checkpoints", keep=2, on_saved=lambda path: progress.write(f"Saved {path}")),
        SampleGrid(a, b, folder / "samples", log_dir=folder / "logs"),
        progress,
        keras.callbacks.LambdaCallback(on_train_batch_begin=signal_at),
    ]
    data = wait.watch(data or dataset())
    model.fit(data, initial_epoch=first_step // STEPS, epochs=epochs, verbose=0, callbacks=callbacks)
    return stream.getvalue()


def finish(folder, model):
    """The rest of the first epoch and the second one."""
    text = train(folder, model, epochs=1, first_step=2, data=dataset(first=2))
    return text + train(folder, model, epochs=2, first_step=STEPS)


def test_a_run_stopped_by_a_signal_resumes_exactly_and_a_nan_leaves_good_checkpoints(tmp_path):
    model = new_model()
    assert "SIGTERM" in train(tmp_path / "cut", model, epochs=2, stop_at=1)
    resumed, path, skipped = load_newest(tmp_path / "cut" / "checkpoints")
    assert path.endswith("step_00000002.keras") and skipped == [] and int(model.step) == 2
    assert not (tmp_path / "cut" / "samples").exists()
    text = finish(tmp_path / "cut", resumed)
    assert "Epoch 1/1, step 4/4 (100%)" in text and "Epoch 2/2, step 8/8 (100%)" in text
    assert all(name in text for name in ("adv_ab", "cyc_a", "idt_b", "dis_a", "loss", "images/s", "waiting for input"))
    assert sorted(p.name for p in (tmp_path / "cut" / "samples").iterdir()) == ["epoch_0001.png", "epoch_0002.png"]
    finish(tmp_path / "whole", model)
    for ours, theirs in zip(resumed.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    # One scenario, as tracing the step takes most of the time: a broken image in the third epoch.
    with pytest.raises(TrainingDiverged, match="(?s)step 10 .*cycle_a.*a10.*b10"):
        train(tmp_path / "cut", resumed, epochs=3, first_step=2 * STEPS, data=dataset(nan_at=2))
    good, path, _ = load_newest(tmp_path / "cut" / "checkpoints")
    assert path.endswith("step_00000008.keras")
    assert all(np.isfinite(weights).all() for weights in good.get_weights())
