"""Compilation of a model with two optimizers, and their return from a saved model."""

import keras

from tf_cyclegan.distribution.overrides import check_compile_arguments, check_loss_scaling
from tf_cyclegan.models.freezing import freeze, frozen_layers
from tf_cyclegan.models.rates import FollowingRates
from tf_cyclegan.optimizers import Adam


class Compiling(FollowingRates):
    """Compiles a model with two optimizers; a mixin that stands before `keras.Model`."""

    def new_optimizer(self, learning_rate=2e-4):
        """The paper's optimizer, an Adam with `beta_1` of 0.5.

        Args:
            learning_rate: float or schedule. Defaults to 2e-4.
        """
        return Adam(learning_rate)

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, jit_compile=False, **kwargs):
        """Configures training. Without arguments it follows the paper, at a constant learning rate.

        When a callback sets `model.optimizer.learning_rate`, the generators' rate, the discriminators' rate changes in
        the same proportion. Where the generators' rate is 0 and the discriminators' is not, both stay independent.

        Args:
            generator_optimizer, discriminator_optimizer: optimizers or their names. Default to `new_optimizer()`.
            jit_compile: bool, whether to compile with XLA, which is slower on CPUs. Defaults to False.
            **kwargs: `steps_per_execution`, `run_eagerly` and `auto_scale_loss`, as in `keras.Model.compile`.

        Raises:
            ValueError: for any other argument, for example `loss`, or if both optimizers are one object.
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
        """Compiles with the layers frozen that were frozen then: optimizers hold moments of what was trainable."""
        arguments = {name: keras.saving.deserialize_keras_object(value) for name, value in config.items()}
        now = frozen_layers(self)
        freeze(self, arguments.pop("frozen", now))
        self.compile(**arguments)
        freeze(self, now)

    def _prepared(self, optimizer, variables, auto_scale_loss):
        """A built optimizer that scales its loss in float16: Keras wraps only one, and fills only built ones."""
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
