"""A training run: settings to data, model, callbacks, fit and resume. The only place that joins them."""

import contextlib
import functools
import inspect
import json
import os
import time
from pathlib import Path

import keras
import tensorflow as tf

from tf_cyclegan.data.image_files import unreadable_in
from tf_cyclegan.data.loading import open_data
from tf_cyclegan.files import check_writable
from tf_cyclegan.models import MODELS
from tf_cyclegan.settings.data import View, parse_size
from tf_cyclegan.settings.train import TRAIN_NAMES
from tf_cyclegan.settings.user_errors import speaking_of_flags, with_flags
from tf_cyclegan.training import callbacks, cost, devices, precision
from tf_cyclegan.training.initial_weights import begin_with, open_initial
from tf_cyclegan.training.resuming import held, resumed, write_config
from tf_cyclegan.training.scoring import closing_lines, new_evaluation
from tf_cyclegan.training.workers import open_workers, plan_workers


class InputLost(RuntimeError):
    """Images that can no longer be read, after training has begun; the message says what is kept."""


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
    with _settings_checked(config):
        initial, config = open_initial(config)
        config = config.resolved()
        data, run = config.data, config.run
        policy, precision_text = precision.planned_policy(run)
        workers = plan_workers(run.devices.strategy)
        workers.check(data.batch_size, run.devices, policy)
        model = new_model(config, policy)
        if initial is not None:
            begin_with(model, initial)
        model.to_last_stage()
        lines = [
            "settings",
            json.dumps(config.to_dict(), indent=2),
            f"precision: {precision_text} ({devices.describe_device()})",
            f"strategy: {workers.describe(data.batch_size)}",
            *cost.learning_rate_lines(run.schedule),
            "cost",
            *cost.describe_cost(model, data, workers.replicas),
        ]
    report("\n".join(lines))
    return 0


def train(config, report):
    """Trains a model to the end of its epochs, from its newest checkpoint if there is one.

    The run folder gets `config.json`, `checkpoints/step_*.keras`, `samples/epoch_*.png`, `losses.csv` and `logs/` for
    TensorBoard; where it is evaluated on the way, also `metrics.csv` and `checkpoints/best.keras`.

    Args:
        config: `TrainSettings`.
        report: callable, takes lines of text.

    Returns:
        0, or 130 after an interruption.

    Raises:
        UserError: if the settings or the data make no run.
        callbacks.TrainingDiverged: if a loss is no longer a number.
        InputLost: if an image can no longer be read.
        OSError: if what the run leaves cannot be written.
        distribution.WorkerLost: if another worker is gone.
    """
    strategy = config.run.devices.strategy
    if strategy == "none" and (parts := MODELS[config.model].independent_parts) > 1:
        devices.share_cores(parts)
    with _settings_checked(config):
        workers = open_workers(strategy)
    if not workers.is_chief:
        report = _silent
    with workers.watched(), contextlib.ExitStack() as stack:
        model, data, tools = _prepared(config, workers, report, stack)
        stack.enter_context(_faults_in_a_line(tools.folder))
        return _fit(model, data, tools, report)


def _silent(line):
    """The report of the workers that are not the chief: theirs would be the same lines."""


def _prepared(config, workers, report, stack):
    """The model, the data and the callbacks of a run, whose folder is held until `stack` is closed."""
    with _settings_checked(config):
        initial, config = open_initial(config, report)
        config = config.resolved()
        run, folder = config.run, config.run.folder
        if workers.is_chief:
            check_writable(folder.output_dir, "output_dir")
        policy = precision.chosen_policy(lambda name: new_model(config, name), config.data, run, workers, report)
        workers.check(config.data.batch_size, run.devices, policy)
        report(f"Computing in {policy} on {devices.describe_device()}.")
        if workers.strategy is not None:
            report(f"Strategy: {workers.describe(config.data.batch_size)}.")
        keras.utils.set_random_seed(config.data.seed)
        with workers.scope():
            model = new_model(config, policy)  # first: impossible settings need no download to be found
        if initial is not None:
            begin_with(model, initial)
        view = View(multiple=model.size_multiple, paired=model.paired, labels=config.of_model.labels)
        data = open_data(config.data, view)
        report(data.describe())
        if not config.data.fixed_size:
            data.check_sides(model.smallest_training_side)
        data.load()
        for file, reason in data.skipped:
            report(f"skipped {file}: {with_flags(reason, TRAIN_NAMES)}")
        for note in data.range_notes():
            report(with_flags(note, TRAIN_NAMES))
        settings = {**config.to_dict(), **_noted(policy, data)}
        if workers.is_chief:
            stack.enter_context(held(folder.output_dir, folder.resume, report))
        model, plan = _resumed_together(folder.output_dir, model, settings, workers, report)
        with workers.scope():
            rate = cost.learning_rate(run.schedule, data.steps_per_epoch, plan)
            _compile(model, rate, run.devices.jit_compile)
        if plan is not None:
            settings = {**settings, "plan": plan}
            report(cost.plan_text(run.schedule.minutes, plan, rate))
        if workers.is_chief:
            write_config(folder.output_dir, settings)
        of_evaluation = (model, run.evaluation, config.data, view, data)
        evaluation = functools.partial(new_evaluation, *of_evaluation, folder=folder.output_dir)
        return model, data, _Tools(model, data, run, settings, workers, rate, evaluation)


def _settings_checked(config):
    # What has no flag of its own: that data must be pairs follows from the model.
    others = {"name": "--dataset", "image_shape": "--image-size", "paired": f"--model={config.model}"}
    if not config.data.fixed_size:  # --image-size says nothing of the size
        others["image_shape"] = f"the images (--resize-mode={config.data.resize_mode})"
    if config.start.initial_model:
        others |= dict.fromkeys(("path", "files", "state", "network"), "--initial-model")
    return speaking_of_flags(TRAIN_NAMES, **others)


@contextlib.contextmanager
def _faults_in_a_line(folder):
    """Images that are gone and disks that are full end a run in a line: TensorFlow says it in thirty."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        lost, unwritten = unreadable_in(error), _unwritten(error, folder)
        if not (lost or unwritten):
            raise
        newest = callbacks.newest_checkpoint(folder / "checkpoints")
        kept = f"the newest checkpoint, {newest}, is as it was" if newest else "there is no checkpoint yet"
        kind, cause = (InputLost, "the image is back") if lost else (OSError, "that is mended")
        text = f"{lost or unwritten}. Training ends here; {kept}. When {cause}, the same command goes on from there."
        raise kind(text) from error


def _unwritten(error, folder):
    """What could not be written in the run folder; None for another error, or one that says enough by itself."""
    if isinstance(error, OSError):
        bare = error.errno is not None and error.strerror == os.strerror(error.errno)
        place = f" ({error.filename})" if error.filename else ""
        return f"Cannot write in the run folder {folder}: {error.strerror}{place}" if bare else None
    place = str(error).find(str(folder))
    return f"Cannot write {str(error)[place:].splitlines()[0]}" if place >= 0 else None


def new_model(config, policy):
    """The untrained model of resolved `TrainSettings`.

    Raises:
        ValueError: if a setting is out of its range.
    """
    data = config.data
    size = parse_size(data.image_size, "image_size") if data.fixed_size else (None, None)
    arguments = {
        "image_shape": (*size, data.channels),
        "channels_b": data.channels_b,
        "seed": data.seed,
        "dtype": policy,
    }
    model, arguments = MODELS[config.model], arguments | config.of_model.arguments()
    taken = inspect.signature(model).parameters  # a model may have no use for what most have
    return model(**{name: value for name, value in arguments.items() if name in taken})


def _compile(model, rate, jit_compile):
    """Gives both optimizers the run's learning rate; a resumed one keeps its moments."""
    if model.compiled:
        model.jit_compile = jit_compile
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
            optimizer.learning_rate = rate
    else:
        model.compile(model.new_optimizer(rate), model.new_optimizer(rate), jit_compile=jit_compile)


def _resumed_together(folder, model, settings, workers, report):
    """The model as the run in the folder left it, the same for all workers, or as it is in a new run; and its plan."""
    workers.wait()  # until the chief holds the folder, and has moved aside what does not go on
    with workers.scope():
        found, plan = resumed(folder, model, settings, report)
    model = found or model
    workers.check_alike(int(model.step.numpy()), "`output_dir` must be one folder that all workers see, at one step")
    return model, plan


def _noted(policy, data):
    """What the run folder and each checkpoint say of a run beside its settings."""
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    known = {"images": data.digest(), "side_by_side": data.side_by_side}
    known["type_range"], known["type_range_b"] = data.type_ranges
    return {"dtype_policy": policy, **known, "versions": versions}


# ---- fitting ----


def _fit(model, data, tools, report):
    if tools.total_steps is not None and int(model.step.numpy()) >= tools.total_steps:
        if not model.is_finished:  # a run that was killed after its last step
            model.gather_replicas(tools.workers.is_chief)
            _finish(model, data, tools)
        report(f"The run is complete: {tools.total_steps:,} steps. {tools.way_on}")
        return 0
    started = time.monotonic()
    with tools.interrupt, tools.checkpoints:
        for first_step, last_step in _legs(model, tools, data.steps_per_epoch):
            _fit_leg(model, data, tools, first_step, last_step)
            if tools.interrupt.signal is not None:
                break
        path = tools.save() if tools.interrupt.signal else _finish(model, data, tools)
    if tools.interrupt.signal is not None:
        report(f"Stopped at step {int(model.step.numpy()):,} and saved {path}. The same command goes on from there.")
        return 130
    took = f"{(time.monotonic() - started) / 60:.1f} minutes"
    report(f"Trained to step {tools.total_steps:,} in {took}: {path}. Samples are in {tools.folder / 'samples'}.")
    if tools.evaluation is not None:
        tools.evaluation.evaluate()
    report("\n".join(closing_lines(tools.folder, tools.evaluation, model)))
    return 0


def _finish(model, data, tools):
    return tools.save(again=model.finish(data.epoch()))


def _legs(model, tools, steps_per_epoch):
    """Cuts what is left into pieces that `fit` can do: the rest of an epoch, whole epochs, the part of a last one.

    While the number of steps is not decided it is epoch by epoch. A piece may be left in the middle.
    """
    while tools.total_steps is None or int(model.step.numpy()) < tools.total_steps:
        step, total = int(model.step.numpy()), tools.total_steps
        epoch_end = (step // steps_per_epoch + 1) * steps_per_epoch
        if total is None:
            yield step, epoch_end
        elif step % steps_per_epoch or total < epoch_end:
            yield step, min(total, epoch_end)
        else:
            yield step, total - total % steps_per_epoch


def _fit_leg(model, data, tools, first_step, last_step):
    first_epoch = first_step // data.steps_per_epoch
    epochs = max(1, (last_step - first_step) // data.steps_per_epoch)
    model.fit(
        tools.batches(data, first_step),
        initial_epoch=first_epoch,
        epochs=first_epoch + epochs,
        steps_per_epoch=(last_step - first_step) // epochs,
        callbacks=tools.callbacks,
        shuffle=False,  # the stream has its own order
        verbose=0,
    )


class _Tools:
    """The callbacks of a run, wired to its folder."""

    def __init__(self, model, data, run, settings, workers, rate, new_evaluation):
        self.workers = workers
        schedule, folder = run.schedule, run.folder
        self.model, self.rate, self.minutes = model, rate, schedule.minutes
        self.steps_per_epoch = data.steps_per_epoch
        steps = (schedule.epochs + schedule.decay_epochs) * data.steps_per_epoch
        self.total_steps = min(steps, schedule.steps or steps)
        if self.minutes is not None:
            self.total_steps = rate.total_steps
        self.folder = Path(folder.output_dir)
        images_a, images_b = data.samples(folder.samples)
        log_dir = self.folder / "logs"
        self.input_wait = callbacks.InputWait()
        self.progress = callbacks.Progress(
            total_steps=self.total_steps and max(self.total_steps, int(model.step.numpy())),
            first_step=int(model.step.numpy()),
            batch_size=data.batch_size,
            steps_per_epoch=data.steps_per_epoch,
            epochs=self._epochs(),
            input_wait=self.input_wait,
            forecast=self.minutes is None,
        )
        self.checkpoints = callbacks.Checkpoints(
            self.folder / "checkpoints",
            keep=folder.keep_checkpoints,
            frequency_steps=folder.checkpoint_steps,
            settings=settings,
        )
        self.checkpoints.set_model(model)
        report = self.progress.write if workers.is_chief else _silent
        self.interrupt = (callbacks.AgreedInterrupt if workers.are_many else callbacks.Interrupt)(report=report)
        self.settings = settings
        self.evaluation = None
        self.callbacks = [
            self.interrupt,
            self.input_wait,
            callbacks.Health(images_a, images_b, names=data.names, report=report, images=data.counts),
            callbacks.ReplicaStates(folder.checkpoint_steps, keep=workers.is_chief),
        ]
        if not workers.is_chief:  # what follows writes
            return
        self.evaluation = new_evaluation(save=self.checkpoints.save, log_dir=log_dir, report=self.progress.write)
        if self.evaluation is not None:
            self.evaluation.set_model(model)
        self.callbacks += [
            self.progress,
            *([] if self.evaluation is None else [self.evaluation]),
            self.checkpoints,
            callbacks.SampleGrid(images_a, images_b, self.folder / "samples", log_dir=log_dir),
            callbacks.LossTable(self.folder / "losses.csv", report),
            keras.callbacks.TensorBoard(str(log_dir), write_graph=False),
        ]
        if self.minutes is not None and self.total_steps is None:
            self.callbacks.insert(1, self._time_budget())

    @property
    def way_on(self):
        """What to do once a run is complete."""
        flags = "More --epochs or --steps" if self.minutes is None else "--steps in the place of --minutes"
        return f"{flags} {'go' if self.minutes is None else 'goes'} on from here."

    def _epochs(self):
        """Epochs of the whole run, the last of which may be a part of one; None where it is not decided."""
        return self.total_steps and -(-self.total_steps // self.steps_per_epoch)

    # ---- minutes ----

    def _time_budget(self):
        every = None if self.evaluation is None else self.evaluation.every * self.steps_per_epoch
        return callbacks.TimeBudget(60 * self.minutes, self.steps_per_epoch, self._decided, every)

    def _decided(self, plan):
        """Fixes the number of steps, here and in what the run leaves: from now on it resumes to the same."""
        self.rate.decide(plan["steps"], plan["measured_steps"])
        self.total_steps = plan["steps"]
        self.checkpoints.settings = {**self.checkpoints.settings, "plan": plan}
        write_config(self.folder, self.checkpoints.settings)
        self.checkpoints.save_beside_training()
        self.progress.set_total(self.total_steps, self._epochs())
        self.progress.write(cost.plan_text(self.minutes, plan, self.rate))
        step = plan["measured_steps"]
        if step % self.steps_per_epoch and self.total_steps < -(-step // self.steps_per_epoch) * self.steps_per_epoch:
            self.model.stop_training = True  # the last part of a run is a `fit` of its own

    def batches(self, data, first_step):
        """The batches of `fit` from a step on, each worker's part of them."""

        def stream(shard, shards):
            return self.input_wait.watch(data.stream(first_step, shard, shards))

        return self.workers.batches(stream, data.batch_size)

    def save(self, again=False):
        """Saves the model if this worker is the one that does; returns the path, or None."""
        return self.checkpoints.save(again) if self.workers.is_chief else None
