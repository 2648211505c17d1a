"""`compile` with two optimizers, the discriminators' learning rate, and frozen layers."""

import keras
from keras import ops

from tf_cyclegan.models.keras_overrides import check_compile_arguments, check_loss_scaling
from tf_cyclegan.models.optimizers import Adam

# The quotient of rates that are independent.
_APART = -1.0


class FollowingRates:
    """Makes the discriminators' learning rate follow the generators' rate, `model.optimizer.learning_rate`.

    A model has two weights for this: `_followed_rate`, the generators' rate in the last step, and `_rate_quotient`, the
    discriminators' rate divided by the generators' rate.
    """

    def _constant_rates(self):
        """The variables of the two learning rates; None for a rate with a schedule."""
        rates = [optimizer.learning_rate for optimizer in (self.optimizer, self.discriminator_optimizer)]
        return [rate if isinstance(rate, keras.Variable) else None for rate in rates]

    def _begin_to_follow(self):
        rate, follower = self._constant_rates()
        self._followed_rate.assign(0.0 if rate is None else rate)
        self._rate_quotient.assign(1.0)
        if rate is not None and follower is not None:
            # Under a strategy each replica has a copy of a rate, which `float` does not read.
            apart = ops.logical_and(ops.equal(rate, 0), ops.greater(follower, 0))
            self._rate_quotient.assign(ops.where(apart, _APART, 1.0))

    def _follow_rate(self):
        rate, follower = self._constant_rates()
        if rate is None or follower is None:
            return
        followed, quotient = self._followed_rate, self._rate_quotient
        # A generators' rate of 0 has no quotient: the next rate uses the quotient from before the 0. If the
        # discriminators' rate is above 0 then, the user has set it, and the two rates become independent.
        at_zero = ops.logical_and(ops.equal(followed, 0), ops.equal(rate, 0))
        apart = ops.logical_or(quotient < 0, ops.logical_and(at_zero, follower > 0))
        after_zero = ops.where(ops.equal(follower, 0), quotient * rate, follower)
        changed = ops.where(followed > 0, follower * rate / followed, after_zero)
        quotient.assign(ops.where(apart, _APART, ops.where(followed > 0, follower / followed, quotient)))
        # An unchanged rate is not multiplied by a quotient: it must stay the same to the bit.
        follows = ops.logical_and(ops.not_equal(rate, followed), ops.logical_not(apart))
        follower.assign(ops.where(follows, changed, follower))
        followed.assign(rate)


class Compiling(FollowingRates):
    """Compiles a model with two optimizers; a mixin before `keras.Model`."""

    def new_optimizer(self, learning_rate=2e-4):
        """The paper's optimizer, an Adam with `beta_1` of 0.5.

        Args:
            learning_rate: float or schedule. Defaults to 2e-4.
        """
        return Adam(learning_rate)

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, jit_compile=False, **kwargs):
        """Configures training. Without arguments it follows the paper, at a constant learning rate.

        When a callback sets `model.optimizer.learning_rate`, the generators' rate, the discriminators' rate changes in
        the same proportion. If the generators' rate is 0 and the discriminators' rate is not, they are independent.

        Args:
            generator_optimizer, discriminator_optimizer: optimizers or their names. Default to `new_optimizer()`.
            jit_compile: bool, whether to compile with XLA, which is slower on CPUs. Defaults to False.
            **kwargs: `steps_per_execution`, `run_eagerly` and `auto_scale_loss`, as in `keras.Model.compile`.

        Raises:
            ValueError: for other arguments, for example `loss`, and if both optimizers are one object.
        """
        _check_arguments(kwargs, generator_optimizer, discriminator_optimizer)
        auto_scale_loss = kwargs.get("auto_scale_loss", True)
        check_compile_arguments(jit_compile, kwargs.get("steps_per_execution", 1))
        super().compile(
            optimizer=self._prepared(generator_optimizer, self.generator_variables, auto_scale_loss),
            jit_compile=jit_compile,
            **kwargs,
        )
        self.discriminator_optimizer = self._prepared(
            discriminator_optimizer, self.discriminator_variables, auto_scale_loss
        )
        self._frozen_when_compiled = frozen_layers(self)
        self._begin_to_follow()
        self._compile_settings = {"jit_compile": jit_compile, **kwargs}

    @property
    def generator_optimizer(self):
        return self.optimizer

    def get_compile_config(self):
        if not self.compiled:
            return None
        optimizers = {"generator_optimizer": self.optimizer, "discriminator_optimizer": self.discriminator_optimizer}
        serialized = {name: keras.saving.serialize_keras_object(value) for name, value in optimizers.items()}
        frozen = self._frozen_when_compiled
        changed = {"frozen": frozen} if frozen != frozen_layers(self) else {}
        return {**serialized, **self._compile_settings, **changed}

    def compile_from_config(self, config):
        """Compiles with the layers frozen that were frozen before: the optimizers have no moments for them."""
        arguments = {name: keras.saving.deserialize_keras_object(value) for name, value in config.items()}
        now = frozen_layers(self)
        freeze(self, arguments.pop("frozen", now))
        self.compile(**arguments)
        freeze(self, now)

    def _prepared(self, optimizer, variables, auto_scale_loss):
        """A built optimizer, with loss scaling in float16: Keras wraps only one, and loads only into built ones."""
        optimizer = keras.optimizers.get(optimizer or self.new_optimizer())
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if self.dtype_policy.name == "mixed_float16" and auto_scale_loss and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        check_loss_scaling(optimizer)
        optimizer.build(variables)
        return optimizer


def _check_arguments(kwargs, generator_optimizer, discriminator_optimizer):
    unknown = set(kwargs) - {"steps_per_execution", "run_eagerly", "auto_scale_loss"}
    if unknown:
        raise ValueError(
            f"`{min(unknown)}` is no argument of this model's `compile`: losses are settings of the model, and the "
            "optimizers are `generator_optimizer` and `discriminator_optimizer`"
        )
    if generator_optimizer is not None and generator_optimizer is discriminator_optimizer:
        raise ValueError("`discriminator_optimizer` must be another object than `generator_optimizer`")


# ---- frozen layers ----


def frozen_layers(model):
    """The paths of the outermost layers with `trainable=False`.

    Args:
        model: `keras.Model` that holds its networks as attributes.

    Returns:
        Sorted list of str such as `"generator_ab/stem_conv"`, an attribute and a layer; `""` is the model itself.
    """
    return sorted(_frozen(model, ""))


def freeze(model, paths):
    """Freezes these layers with all layers inside them, and unfreezes all others.

    Args:
        model: `keras.Model`.
        paths: list of str, paths as in `frozen_layers`. Unknown paths are ignored.
    """
    for path in set(frozen_layers(model)) - set(paths):
        _set_trainable(model, path, True)
    for path in paths:
        _set_trainable(model, path, False)


def _frozen(layer, path):
    if not layer.trainable:
        return {path}
    children = _children(layer, is_model=not path)
    return {found for name, child in children.items() for found in _frozen(child, f"{path}/{name}".lstrip("/"))}


def _set_trainable(model, path, trainable):
    layer = model
    for name in path.split("/") if path else ():
        layer = _children(layer, is_model=layer is model).get(name)
        if layer is None:
            return
    layer.trainable = trainable


def _children(layer, is_model):
    if is_model:
        return {name: value for name, value in vars(layer).items() if isinstance(value, keras.Layer)}
    return {child.name: child for child in layer._flatten_layers(include_self=False, recursive=False)}
