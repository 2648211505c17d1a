"""A training run: from settings to model, data and callbacks, and through `fit` to its last step."""

import contextlib
import functools
import json
import os
import time

import keras
import tensorflow as tf

from tf_cyclegan.data.image_files import unreadable_in
from tf_cyclegan.data.loading import open_data
from tf_cyclegan.files import check_writable
from tf_cyclegan.models import MODELS
from tf_cyclegan.settings.data import View
from tf_cyclegan.settings.train import TRAIN_NAMES
from tf_cyclegan.settings.user_errors import speaking_of_flags, with_flags
from tf_cyclegan.training import cost, devices, precision
from tf_cyclegan.training.initial_weights import copy_weights, load_initial_model
from tf_cyclegan.training.resuming import held, load_checkpoint, write_config
from tf_cyclegan.training.run_callbacks import RunCallbacks
from tf_cyclegan.training.run_model import compile_model, learning_rate, new_model
from tf_cyclegan.training.scoring import closing_lines, new_evaluation
from tf_cyclegan.training.workers import open_workers, plan_workers
from tf_cyclegan.weights.run_files import newest_checkpoint


class InputLost(RuntimeError):
    """Images that can no longer be read after training has begun; the message says which checkpoint is kept."""


def dry_run(config, report):
    """Reports what a run would do: settings, learning rates, parameters, multiply-adds, memory. Reads no data.

    Args:
        config: `TrainSettings`.
        report: callable, takes lines of text.

    Returns:
        0.

    Raises:
        UserError: if the settings do not make a model.
    """
    with _errors_in_flags(config):
        initial_model, config = load_initial_model(config)
        config = config.resolved()
        policy, precision_text = precision.planned_policy(config.run)
        workers = plan_workers(config.run.devices.strategy)
        workers.check(config.data.batch_size, config.run.devices, policy)
        model = new_model(config, policy)
        if initial_model is not None:
            copy_weights(initial_model, model)
        model.to_last_stage()
        lines = [
            "settings",
            json.dumps(config.to_dict(), indent=2),
            f"precision: {precision_text} ({devices.describe_device()})",
            f"strategy: {workers.describe(config.data.batch_size)}",
            *cost.learning_rate_lines(config.run.schedule),
            "cost",
            *cost.describe_cost(model, config.data, workers.replicas),
        ]
    report("\n".join(lines))
    return 0


def train(config, report):
    """Trains a model to the end of its epochs, from its newest checkpoint if there is one.

    The run folder gets `config.json`, `checkpoints/step_*.keras`, `samples/epoch_*.png`, `losses.csv` and `logs/` for
    TensorBoard; a run with evaluations also `metrics.csv` and `checkpoints/best.keras`.

    Args:
        config: `TrainSettings`.
        report: callable, takes lines of text.

    Returns:
        0, or 130 after an interruption.

    Raises:
        UserError: if the settings or the data make no run.
        callbacks.TrainingDiverged: if a loss is NaN or infinite.
        InputLost: if an image can no longer be read.
        OSError: if a file of the run cannot be written.
        workers.WorkerLost: if another worker is gone.
    """
    workers = _open_workers(config)
    if not workers.is_chief:
        report = _silent
    with workers.watched(), contextlib.ExitStack() as stack:
        model, data, run_callbacks = _prepare(config, workers, report, stack)
        stack.enter_context(_errors_in_one_line(run_callbacks.folder))
        return _fit(model, data, run_callbacks, report)


# ---- before `fit` ----


def _open_workers(config):
    strategy, parts = config.run.devices.strategy, MODELS[config.model].independent_parts
    if strategy == "none" and parts > 1:
        devices.share_cores(parts)
    with _errors_in_flags(config):
        return open_workers(strategy)


def _silent(line):
    """The report of workers that are not the chief, whose lines would be the same."""


def _prepare(config, workers, report, stack):
    """The model, the data and the callbacks of a run. `stack` holds the lock of the run folder until it is closed."""
    with _errors_in_flags(config):
        initial_model, config = load_initial_model(config, report)
        config = config.resolved()
        run, folder = config.run, config.run.folder
        if workers.is_chief:
            check_writable(folder.output_dir, "output_dir")
        policy = _choose_policy(config, workers, report)
        keras.utils.set_random_seed(config.data.seed)
        with workers.scope():
            model = new_model(config, policy)  # before any download: its settings may be impossible
        if initial_model is not None:
            copy_weights(initial_model, model)
        view = View(multiple=model.size_multiple, paired=model.paired, labels=config.of_model.labels)
        data = _load_data(config.data, view, model, report)
        settings = {**config.to_dict(), **_recorded_facts(policy, data)}
        if workers.is_chief:
            stack.enter_context(held(folder.output_dir, folder.resume, report))
        model, rate, settings = _resume_and_compile(model, run, settings, data.steps_per_epoch, workers, report)
        if workers.is_chief:
            write_config(folder.output_dir, settings)
        of_evaluation = (model, run.evaluation, config.data, view, data)
        evaluation = functools.partial(new_evaluation, *of_evaluation, folder=folder.output_dir)
        return model, data, RunCallbacks(model, data, run, settings, workers, rate, evaluation)


def _choose_policy(config, workers, report):
    policy = precision.chosen_policy(lambda name: new_model(config, name), config.data, config.run, workers, report)
    workers.check(config.data.batch_size, config.run.devices, policy)
    report(f"Computing in {policy} on {devices.describe_device()}.")
    if workers.strategy is not None:
        report(f"Strategy: {workers.describe(config.data.batch_size)}.")
    return policy


def _load_data(settings, view, model, report):
    data = open_data(settings, view)
    report(data.describe())
    if not settings.fixed_size:
        data.check_sides(model.smallest_training_side)
    data.load()
    for file, reason in data.skipped:
        report(f"skipped {file}: {with_flags(reason, TRAIN_NAMES)}")
    for note in data.range_notes():
        report(with_flags(note, TRAIN_NAMES))
    return data


def _recorded_facts(policy, data):
    """The facts that the run folder and each checkpoint record in addition to the settings."""
    range_a, range_b = data.type_ranges
    return {
        "dtype_policy": policy,
        "images": data.digest(),
        "side_by_side": data.side_by_side,
        "type_range": range_a,
        "type_range_b": range_b,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def _resume_and_compile(model, run, settings, steps_per_epoch, workers, report):
    """The model, new or of the newest checkpoint, its learning rate, and the settings with the plan of the run."""
    workers.wait()  # until the chief holds the folder, and has moved aside a run that does not go on
    with workers.scope():
        checkpoint, plan = load_checkpoint(run.folder.output_dir, model, settings, report)
        model = checkpoint or model
    workers.check_alike(int(model.step.numpy()), "`output_dir` must be one folder that all workers see, at one step")
    with workers.scope():
        rate = learning_rate(run.schedule, steps_per_epoch, plan)
        compile_model(model, rate, run.devices.jit_compile)
    if plan is not None:
        settings = {**settings, "plan": plan}
        report(cost.plan_text(run.schedule.minutes, plan, rate))
    return model, rate, settings


# ---- `fit` ----


def _fit(model, data, run_callbacks, report):
    """Trains to the last step or to an interruption; returns the exit code."""
    total_steps, interrupt = run_callbacks.total_steps, run_callbacks.interrupt
    if total_steps is not None and int(model.step.numpy()) >= total_steps:
        if not model.is_finished:  # a run that was killed after its last step
            model.gather_replicas(run_callbacks.workers.is_chief)
            _finish(model, data, run_callbacks)
        report(f"The run is complete: {total_steps:,} steps. {run_callbacks.way_on}")
        return 0
    started = time.monotonic()
    with interrupt, run_callbacks.checkpoints:
        for first_step, last_step in _legs(model, run_callbacks):
            _fit_leg(model, data, run_callbacks, first_step, last_step)
            if interrupt.signal is not None:
                break
        path = run_callbacks.save() if interrupt.signal else _finish(model, data, run_callbacks)
    if interrupt.signal is not None:
        report(f"Stopped at step {int(model.step.numpy()):,} and saved {path}. The same command goes on from there.")
        return 130
    _report_end(model, run_callbacks, path, time.monotonic() - started, report)
    return 0


def _legs(model, run_callbacks):
    """Pairs of steps between which one call of `fit` trains: the rest of an epoch, whole epochs, or a part of the last.

    While the number of steps is undecided, each leg is an epoch. A leg may end before its last step.
    """
    steps_per_epoch = run_callbacks.steps_per_epoch
    while (total := run_callbacks.total_steps) is None or int(model.step.numpy()) < total:
        step = int(model.step.numpy())
        epoch_end = (step // steps_per_epoch + 1) * steps_per_epoch
        if total is None:
            yield step, epoch_end
        elif step % steps_per_epoch or total < epoch_end:
            yield step, min(total, epoch_end)
        else:
            yield step, total - total % steps_per_epoch


def _fit_leg(model, data, run_callbacks, first_step, last_step):
    first_epoch = first_step // data.steps_per_epoch
    epochs = max(1, (last_step - first_step) // data.steps_per_epoch)
    model.fit(
        run_callbacks.batches(data, first_step),
        initial_epoch=first_epoch,
        epochs=first_epoch + epochs,
        steps_per_epoch=(last_step - first_step) // epochs,
        callbacks=run_callbacks.for_fit,
        shuffle=False,  # the stream has its own order
        verbose=0,
    )


def _finish(model, data, run_callbacks):
    return run_callbacks.save(again=model.finish(data.epoch()))


def _report_end(model, run_callbacks, path, seconds, report):
    folder, evaluation = run_callbacks.folder, run_callbacks.evaluation
    took = f"{seconds / 60:.1f} minutes"
    report(f"Trained to step {run_callbacks.total_steps:,} in {took}: {path}. Samples are in {folder / 'samples'}.")
    if evaluation is not None:
        evaluation.evaluate()
    report("\n".join(closing_lines(folder, evaluation, model)))


# ---- errors ----


def _errors_in_flags(config):
    """Has errors of this package name the flags that cause them."""
    # What has no flag of its own: that data must be pairs follows from the model.
    others = {"name": "--dataset", "image_shape": "--image-size", "paired": f"--model={config.model}"}
    if not config.data.fixed_size:  # the files decide the size, not --image-size
        others["image_shape"] = f"the images (--resize-mode={config.data.resize_mode})"
    if config.start.initial_model:
        others |= dict.fromkeys(("path", "files", "state", "network"), "--initial-model")
    return speaking_of_flags(TRAIN_NAMES, **others)


@contextlib.contextmanager
def _errors_in_one_line(folder):
    """Says in one line that an image is gone or a disk is full, for which TensorFlow takes thirty lines."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        lost, unwritten = unreadable_in(error), _unwritten(error, folder)
        if not (lost or unwritten):
            raise
        newest = newest_checkpoint(folder / "checkpoints")
        kept = f"the newest checkpoint, {newest}, is as it was" if newest else "there is no checkpoint yet"
        kind, cause = (InputLost, "the image is back") if lost else (OSError, "that is mended")
        text = f"{lost or unwritten}. Training ends here; {kept}. When {cause}, the same command goes on from there."
        raise kind(text) from error


def _unwritten(error, folder):
    """What could not be written in the run folder; None for another error, and for one whose text is complete."""
    if isinstance(error, OSError):
        bare = error.errno is not None and error.strerror == os.strerror(error.errno)
        place = f" ({error.filename})" if error.filename else ""
        return f"Cannot write in the run folder {folder}: {error.strerror}{place}" if bare else None
    place = str(error).find(str(folder))
    return f"Cannot write {str(error)[place:].splitlines()[0]}" if place >= 0 else None
