"""A training run: settings to data, model, callbacks, fit and resume. The only place that joins them."""

import contextlib
import inspect
import json
import time
from pathlib import Path

import keras
import tensorflow as tf

from tf_cyclegan import callbacks, devices, recipe
from tf_cyclegan.checks import with_flags
from tf_cyclegan.config import TrainConfig, parse_size
from tf_cyclegan.evaluating.during import closing_lines, new_evaluation
from tf_cyclegan.files import write_whole
from tf_cyclegan.initial import begin_with, open_initial
from tf_cyclegan.models import MODELS
from tf_cyclegan.run_data import open_data

# The emoji default on two cores of an AMD EPYC (Zen 3), alone and beside other work, for the warning at the start.
_SLOW_EMOJI_MINUTES = "40 to 65"
_SHORT_EMOJI_STEPS = 1000


class SettingsError(ValueError):
    """Settings or data that no run can start from; the message says what to change."""


def dry_run(config, report):
    """Reports what a run would do: settings, learning rates, parameters, multiply-adds, memory. Reads no data.

    Args:
        config: `TrainConfig`.
        report: callable, takes lines of text.

    Returns:
        0.

    Raises:
        SettingsError: if the settings do not make a model.
    """
    with _settings_checked(config):
        initial, config = open_initial(config)
        config = config.resolved()
        policy = devices.dtype_policy(config.precision)
        model = new_model(config, policy)
        if initial is not None:
            begin_with(model, initial)
        model.to_last_stage()
        lines = [
            "settings",
            json.dumps(config.to_dict(), indent=2),
            f"precision: {policy} ({devices.describe_device()})",
            f"learning rate ({config.schedule}, {config.epochs} + {config.decay_epochs} epochs)",
            *recipe.learning_rate_table(config),
            "cost",
            *recipe.describe_cost(model, config),
        ]
    report("\n".join(lines))
    return 0


def train(config, report):
    """Trains a model to the end of its epochs, from its newest checkpoint if there is one.

    The run folder gets `config.json`, `checkpoints/step_*.keras`, `samples/epoch_*.png`, `losses.csv` and `logs/` for
    TensorBoard; where it is evaluated on the way, also `metrics.csv` and `checkpoints/best.keras`.

    Args:
        config: `TrainConfig`.
        report: callable, takes lines of text.

    Returns:
        0, or 130 after an interruption.

    Raises:
        SettingsError: if the settings or the data make no run.
        callbacks.TrainingDiverged: if a loss is no longer a number.
    """
    with _settings_checked(config):
        initial, config = open_initial(config, report)
        config = config.resolved()
        policy = devices.dtype_policy(config.precision)
        report(f"Computing in {policy} on {devices.describe_device()}.")
        _warn_of_long_run(config, policy, report)
        keras.utils.set_random_seed(config.seed)
        model = new_model(config, policy)  # first: impossible settings need no download to be found
        if initial is not None:
            begin_with(model, initial)
        data = open_data(config, model.size_multiple)
        report(data.describe())
        data.load()
        for file, reason in data.skipped:
            report(f"skipped {file}: {reason}")
        model = _resumed(config, model, report) or model
        _compile(model, config, data.steps_per_epoch)
        _write_config(config, model)
        tools = _Tools(model, data, config)
    return _fit(model, data, tools, report)


@contextlib.contextmanager
def _settings_checked(config):
    # What has no flag of its own: that data must be pairs follows from the model.
    others = {"name": "--dataset", "image_shape": "--image-size", "paired": f"--model={config.model}"}
    if config.initial_model:
        others |= dict.fromkeys(("path", "files", "state", "network"), "--initial-model")
    try:
        yield
    except ValueError as error:
        message = with_flags(str(error), TrainConfig, **others)
        raise SettingsError(message) from error


def _warn_of_long_run(config, policy, report):
    slow = policy == "float32" and config.precision == "auto" and devices.describe_device().startswith("CPU")
    if slow and config.is_emoji and config.steps is None:
        report(
            "bfloat16 is not fast here (CPUs with AMX are several times faster): the emoji run takes "
            f"{_SLOW_EMOJI_MINUTES} minutes on two cores without. --steps={_SHORT_EMOJI_STEPS} is a shorter run that "
            "shows the shading, not its best."
        )


def new_model(config, policy):
    """The untrained model of a resolved `TrainConfig`.

    Raises:
        ValueError: if a setting is out of its range.
    """
    model = MODELS[config.model]
    # Settings of a run that the model's constructor has under the same name.
    settings = {name: getattr(config, name) for name in inspect.signature(model).parameters if hasattr(config, name)}
    size = parse_size(config.image_size, "image_size") if config.fixed_size else (None, None)
    settings |= {"image_shape": (*size, config.channels), "dtype": policy}
    if config.lambda_cycle is not None:
        settings["lambda_cycle"] = _one_or_two(config.lambda_cycle)
    return model(**settings)


def _one_or_two(weights):
    if len(weights) not in (1, 2):
        raise ValueError(f"`lambda_cycle` must be one weight or two. Received: lambda_cycle={weights}")
    return weights if len(weights) == 2 else weights[0]


def _compile(model, config, steps_per_epoch):
    """Gives both optimizers the run's learning rate; a resumed one keeps its moments."""
    rate = recipe.learning_rate(config, steps_per_epoch)
    if model.compiled:
        model.jit_compile = config.jit_compile
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
            optimizer.learning_rate = rate
    else:
        model.compile(model.new_optimizer(rate), model.new_optimizer(rate), jit_compile=config.jit_compile)


# ---- the run folder ----


def _resumed(config, expected, report):
    """The model of the newest checkpoint in the run folder, or None for a new run."""
    folder = Path(config.output_dir)
    if not config.resume and folder.exists():
        aside = _free_name(folder)
        folder.rename(aside)
        report(f"Moved the earlier run to {aside}.")
    model, path, skipped = callbacks.load_newest(folder / "checkpoints")
    for damaged, reason in skipped:
        report(f"Passed over the damaged checkpoint {damaged}: {reason}")
    if model is None:
        report(f"A new run in {folder}.")
    else:
        _check_same_model(model, expected, folder)
        _check_same_data(config, folder)
        report(f"Resuming from {path} at step {int(model.step):,}.")
    return model


def _check_same_model(model, expected, folder):
    names = {kind: name for name, kind in MODELS.items()}
    _check_same(folder, "model", *(names.get(type(each), type(each).__name__) for each in (model, expected)))
    _check_same(folder, "precision", model.dtype_policy.name, expected.dtype_policy.name)
    ours, theirs = model.get_config(), expected.get_config()
    for name in theirs:
        if name not in ("name", "dtype"):
            _check_same(folder, name, ours.get(name), theirs[name])


# What the order and the look of every batch depend on: with another, a resumed run would be another run.
_DATA_SETTINGS = (
    "dataset",
    "data_a",
    "data_b",
    "test_share",
    "batch_size",
    "image_size",
    "load_size",
    "resize_mode",
    "flip",
    "value_range",
    "skip_unreadable",
)


def _check_same_data(config, folder):
    try:
        found = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):  # checkpoints from elsewhere: nothing to compare
        return
    for name in _DATA_SETTINGS:
        if name in found:
            _check_same(folder, name, found[name], config.to_dict()[name])


def _check_same(folder, name, found, expected):
    if found != expected:
        raise ValueError(
            f"`output_dir` {folder} holds a run with another `{name}`: expected {expected!r}, found {found!r}. "
            "Take another --output-dir, or --no-resume to begin anew"
        )


def _free_name(folder):
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    return aside


def _write_config(config, model):
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    settings = {**config.to_dict(), "dtype_policy": model.dtype_policy.name, "versions": versions}
    write_whole(folder / "config.json", f"{json.dumps(settings, indent=2)}\n".encode())


# ---- fitting ----


def _fit(model, data, tools, report):
    total = tools.total_steps
    if int(model.step) >= total:
        if not model.is_finished:  # a run that was killed after its last step
            _finish(model, data, tools)
        report(f"The run is complete: {total:,} steps. More --epochs or --steps go on from here.")
        return 0
    started = time.monotonic()
    with tools.interrupt:
        for first_step, last_step in _legs(int(model.step), total, data.steps_per_epoch):
            _fit_leg(model, data, tools, first_step, last_step)
            if tools.interrupt.signal is not None:
                break
        path = tools.checkpoints.save() if tools.interrupt.signal else _finish(model, data, tools)
    if tools.interrupt.signal is not None:
        report(f"Stopped at step {int(model.step):,} and saved {path}. The same command goes on from there.")
        return 130
    minutes = (time.monotonic() - started) / 60
    report(f"Trained to step {total:,} in {minutes:.1f} minutes: {path}. Samples are in {tools.folder / 'samples'}.")
    if tools.evaluation is not None:
        tools.evaluation.evaluate()
    report("\n".join(closing_lines(tools.folder, tools.evaluation, tools.settings)))
    return 0


def _finish(model, data, tools):
    return tools.checkpoints.save(again=model.finish(data.epoch()))


def _legs(step, total, steps_per_epoch):
    """Cuts what is left into pieces that `fit` can do: the rest of an epoch, whole epochs, the part of a last one."""
    while step < total:
        if step % steps_per_epoch or total - step < steps_per_epoch:
            end = min(total, (step // steps_per_epoch + 1) * steps_per_epoch)
        else:
            end = total - total % steps_per_epoch
        yield step, end
        step = end


def _fit_leg(model, data, tools, first_step, last_step):
    first_epoch = first_step // data.steps_per_epoch
    epochs = max(1, (last_step - first_step) // data.steps_per_epoch)
    model.fit(
        tools.input_wait.watch(data.stream(first_step)),
        initial_epoch=first_epoch,
        epochs=first_epoch + epochs,
        steps_per_epoch=(last_step - first_step) // epochs,
        callbacks=tools.callbacks,
        shuffle=False,  # the stream has its own order
        verbose=0,
    )


class _Tools:
    """The callbacks of a run, wired to its folder."""

    def __init__(self, model, data, config):
        epochs = config.epochs + config.decay_epochs
        self.total_steps = min(epochs * data.steps_per_epoch, config.steps or epochs * data.steps_per_epoch)
        self.folder = Path(config.output_dir)
        images_a, images_b = data.samples(config.samples)
        log_dir = self.folder / "logs"
        self.input_wait = callbacks.InputWait()
        self.progress = callbacks.Progress(
            total_steps=max(self.total_steps, int(model.step)),
            first_step=int(model.step),
            batch_size=config.batch_size,
            steps_per_epoch=data.steps_per_epoch,
            epochs=-(-self.total_steps // data.steps_per_epoch),
            input_wait=self.input_wait,
        )
        self.checkpoints = callbacks.Checkpoints(
            self.folder / "checkpoints", keep=config.keep_checkpoints, frequency_steps=config.checkpoint_steps
        )
        self.checkpoints.set_model(model)
        self.interrupt = callbacks.Interrupt(report=self.progress.write)
        self.settings = config.to_dict()
        self.evaluation = new_evaluation(
            model, config, data, save=self.checkpoints.save, log_dir=log_dir, report=self.progress.write
        )
        if self.evaluation is not None:
            self.evaluation.set_model(model)
        self.callbacks = [
            self.interrupt,
            self.input_wait,
            callbacks.Health(images_a, images_b, names=data.names, report=self.progress.write),
            self.progress,
            *([] if self.evaluation is None else [self.evaluation]),
            self.checkpoints,
            callbacks.SampleGrid(images_a, images_b, self.folder / "samples", log_dir=log_dir),
            keras.callbacks.CSVLogger(str(self.folder / "losses.csv"), append=True),
            keras.callbacks.TensorBoard(str(log_dir), write_graph=False),
        ]
