"""The cost of a training run, in lines for people: learning rates, parameters, multiply-adds, memory."""

import tensorflow as tf

from tf_cyclegan.settings.data import parse_size
from tf_cyclegan.training.callbacks.progress import seconds_text
from tf_cyclegan.training.run_model import learning_rate

# Memory of TensorFlow, Keras and the program before the first image, measured on Linux.
_BASE_BYTES = 0.7e9


def plan_text(minutes, plan, rate):
    """The plan of a run of minutes in one line.

    Args:
        minutes: float.
        plan: dict, see `callbacks.TimeBudget`.
        rate: `schedules.PlannedSchedule` of this plan.

    Returns:
        str, as `10 minutes: 2,410 steps of 0.24 s, the learning rate falls from step 603 on.`
    """
    falls = rate.constant_steps < plan["steps"]
    tells = f"falls from step {rate.constant_steps + 1:,} on" if falls else "stays"
    unit = "minute" if minutes == 1 else "minutes"
    pace = seconds_text(plan["seconds_a_step"])
    return f"{minutes:g} {unit}: {plan['steps']:,} steps of {pace}, the learning rate {tells}."


def learning_rate_lines(settings):
    """Lines for a dry run: the learning rate by epochs or, in a run of minutes, by parts of the run."""
    if settings.minutes is None:
        title = f"learning rate ({settings.schedule}, {settings.epochs} + {settings.decay_epochs} epochs)"
        return [title, *_learning_rate_table(settings)]
    rate = learning_rate(settings, None, {"steps": 1000, "measured_steps": 0})
    return [
        f"minutes: {settings.minutes:g}; the first steps are measured, then the number of steps is fixed",
        f"learning rate ({settings.schedule}, in the proportion {settings.epochs} : {settings.decay_epochs})",
        "   part   learning rate",
        *(f"  {part:4d}%   {float(rate(min(10 * part, 999))):.4g}" for part in range(0, 101, 10)),
    ]


def _learning_rate_table(settings):
    """A line for each epoch with a new learning rate; a long decay has about ten lines."""
    total = settings.epochs + settings.decay_epochs
    rate = learning_rate(settings, steps_per_epoch=1)
    rates = [float(rate(epoch)) for epoch in range(total)]
    starts = [0] + [epoch for epoch in range(1, total) if rates[epoch] != rates[epoch - 1]]
    shown = starts if len(starts) <= 12 else sorted({*starts[:2], *starts[:: len(starts) // 10], starts[-1]})
    lines = ["  epoch   learning rate"]
    return lines + [f"  {epoch + 1:5d}   {rates[epoch]:.4g}" for epoch in shown]


def describe_cost(model, data, replicas=1):
    """Lines with the parameters, multiply-adds and memory of one training step, and with the traffic of replicas.

    Args:
        model: `TranslationModel`.
        data: resolved `DataSettings`.
        replicas: int, devices that share each batch; None where their number is unknown. Defaults to 1.
    """
    size = parse_size(data.image_size, "image_size")
    parameters = _parameters(model)
    forward_macs, activations = _step_cost(model, size)
    width = 4 if model.dtype_policy.compute_dtype == "float32" else 2
    pools = 4 * sum(weight.shape.num_elements() for weight in model.weights if "pool" in weight.path)
    images = -(-data.batch_size // (replicas or 1))
    # A weight takes 16 bytes: its value, its gradient and both moments of Adam.
    memory = _BASE_BYTES + 16 * parameters + pools + width * images * activations
    return [
        f"  generator      {_network_line(model.generator(model.directions[0]), size)}",
        f"  discriminator  {_network_line(model.discriminators[0], size)}",
        # A backward pass costs as much as two forward passes.
        f"  all networks   {parameters:>12,} parameters  {3 * data.batch_size * forward_macs / 1e9:8.2f} G "
        "multiply-adds a training step",
        f"  memory         about {memory / 1e9:.1f} GB, {pools / 1e9:.2f} GB of it pools; the image cache is extra",
        *(_exchange_lines(model, replicas) if replicas != 1 else ()),
    ]


def _exchange_lines(model, replicas):
    """The traffic of a ring of R replicas: each sends 2 (R - 1) / R of the gradients, in the weights' precision."""
    trained = [*model.generator_variables, *model.discriminator_variables]
    megabytes = sum(variable.shape.num_elements() * variable.value.dtype.size for variable in trained) / 1e6
    sent = f", {2 * (replicas - 1) / replicas * megabytes:.1f} MB out of and into each replica" if replicas else ""
    return [f"  exchange       {megabytes:.1f} MB of gradients are summed over the replicas in each step{sent}"]


def _parameters(model):
    networks = (*model.generators, *model.auxiliaries, *model.discriminators)
    variables = {id(variable): variable for network in networks for variable in network.variables}  # shared ones once
    return sum(variable.shape.num_elements() for variable in variables.values())


def _network_line(network, size):
    macs, _ = _cost(lambda images: network(images, training=True), [tf.TensorSpec((1, *size, network.input_shape[-1]))])
    return f"{network.count_params():>12,} parameters  {macs / 1e9:8.2f} G multiply-adds"


def _step_cost(model, size):
    def losses(*batch):
        outputs = model.forward(batch, training=True)
        return model.generator_losses(batch, outputs), model.discriminator_losses(batch, outputs)

    return _cost(losses, model.batch_spec(size, 1))


def _cost(function, specifications):
    """Multiply-adds and activations of a function, counted in its graph for tensors of these specifications."""
    operations = tf.function(function).get_concrete_function(*specifications).graph.get_operations()
    tensors = [tensor for operation in operations for tensor in operation.outputs if tensor.shape.rank == 4]
    return sum(map(_multiply_adds, operations)), sum(tensor.shape.num_elements() or 0 for tensor in tensors)


def _multiply_adds(operation):
    """A convolution uses each weight of its kernel once for each pixel of its output, or of its input if transposed."""
    if operation.type == "Conv2D":
        pixels, kernel, channels = operation.outputs[0].shape, operation.inputs[1].shape, 2
    elif operation.type == "Conv2DBackpropInput":
        pixels, kernel, channels = operation.inputs[2].shape, operation.inputs[1].shape, 2
    else:
        return 0
    return pixels.num_elements() * kernel[0] * kernel[1] * kernel[channels]
