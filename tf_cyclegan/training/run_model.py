"""The model of a run: made from its settings, and compiled with its learning rate."""

import inspect

from tf_cyclegan.models import MODELS
from tf_cyclegan.settings.data import parse_size
from tf_cyclegan.training import schedules


def new_model(config, policy):
    """The untrained model of resolved `TrainSettings`.

    Args:
        config: resolved `TrainSettings`.
        policy: str, the Keras dtype policy.

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
        **config.of_model.arguments(),
    }
    model = MODELS[config.model]
    taken = inspect.signature(model).parameters  # not every model takes, for example, `channels_b`
    return model(**{name: value for name, value in arguments.items() if name in taken})


def compile_model(model, rate, jit_compile):
    """Gives both optimizers the learning rate of the run; the optimizers of a resumed model keep their moments."""
    if model.compiled:
        model.jit_compile = jit_compile
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
            optimizer.learning_rate = rate
    else:
        model.compile(model.new_optimizer(rate), model.new_optimizer(rate), jit_compile=jit_compile)


def learning_rate(settings, steps_per_epoch, plan=None):
    """The learning rate of a run. A constant rate is a schedule too, so that a resumed run can change to any other.

    Args:
        settings: resolved `ScheduleSettings`.
        steps_per_epoch: int.
        plan: optional dict of a run of minutes, see `callbacks.TimeBudget`. Defaults to None, not decided yet.

    Returns:
        A schedule of `schedules`.
    """
    rate, epochs, decay_epochs = settings.learning_rate, settings.epochs, settings.decay_epochs
    if settings.minutes is not None:
        steps = () if plan is None else (plan["steps"], plan["measured_steps"])
        shape = (settings.schedule, epochs, decay_epochs, settings.decay_rate)
        return schedules.PlannedSchedule(rate, *shape, *steps)
    if settings.schedule == "linear":
        return schedules.ConstantThenLinearDecay(rate, steps_per_epoch, epochs, decay_epochs)
    if settings.schedule == "step":
        return schedules.StepDecay(rate, steps_per_epoch, decay_epochs, settings.decay_rate)
    if settings.schedule == "cosine":
        return schedules.CosineDecay(rate, steps_per_epoch, epochs + decay_epochs)
    return schedules.ConstantThenLinearDecay(rate, steps_per_epoch, epochs + decay_epochs, decay_epochs=0)
