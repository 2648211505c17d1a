"""Training in stages: first the global generator, then its enhancers, then both together."""

import keras
import numpy as np

from tf_cyclegan.models.base import TranslationModel
from tf_cyclegan.settings.checks import check_integer

STAGES = ("global", "enhancer", "together")
_STAGE = "stage"


class StagedModel(TranslationModel):
    """A model whose parts are trained one after the other.

    A subclass has `stage_epochs`, and sets `_stage` in its constructor. Its `generator_variables` are the variables of
    the present `stage`, or of all stages if `stage` is None.
    """

    def build(self, input_shape=None):
        super().build(input_shape)
        # A variable, so that a `callbacks.Snapshot`, which is written in the background, has the stage of its step.
        # Keras would track an ordinary attribute as a weight.
        number = keras.Variable(STAGES.index(self._stage), dtype="int64", trainable=False, name=_STAGE)
        object.__setattr__(self, "_stage_number", number)

    @property
    def untracked_variables(self):
        return [*super().untracked_variables, self._stage_number]

    @property
    def stage(self):
        """The present stage, one of `STAGES`; `fit` sets it at the beginning of an epoch."""
        return self._stage

    @stage.setter
    def stage(self, stage):
        self._stage = stage
        self._stage_number.assign(STAGES.index(stage))
        # The old functions train the networks of the old stage.
        self.train_function = self.test_function = self.predict_function = None

    def to_last_stage(self):
        self.stage = STAGES[-1]

    def compile(self, *args, **kwargs):
        # The optimizers hold moments of the weights of all stages.
        stage, self._stage = self._stage, None
        try:
            super().compile(*args, **kwargs)
        finally:
            self._stage = stage

    def fit(self, *args, callbacks=None, **kwargs):
        """Trains, as `keras.Model.fit`, in the stages of `stage_epochs`."""
        if any(self.stage_epochs):
            callbacks = [*keras.tree.flatten(callbacks or []), StageSchedule()]
        return super().fit(*args, callbacks=callbacks, **kwargs)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store[_STAGE] = self._stage_number.numpy()

    def load_own_variables(self, store):
        entries = {key: store[key] for key in store.keys()}
        self.stage = STAGES[int(np.asarray(entries.pop(_STAGE)))]
        super().load_own_variables(entries)


def stage_at(epoch, stage_epochs):
    """The stage of an epoch, one of `STAGES`.

    Args:
        epoch: int, from 0.
        stage_epochs: pair of ints, epochs of the stages `"global"` and `"enhancer"`.
    """
    first, second = stage_epochs
    if epoch < first:
        return "global"
    return "enhancer" if epoch < first + second else "together"


class StageSchedule(keras.callbacks.Callback):
    """Begins each stage of a `StagedModel` at its epoch, with new moments in the optimizers.

    The stage never goes back: another `fit` without `initial_epoch` trains on in the last stage.
    """

    def on_epoch_begin(self, epoch, logs=None):
        stage = max(stage_at(epoch, self.model.stage_epochs), self.model.stage, key=STAGES.index)
        if stage != self.model.stage:
            self.model.stage = stage
            for optimizer in (self.model.generator_optimizer, self.model.discriminator_optimizer):
                restart_moments(optimizer)
            # `fit` has already made the function of the old stage.
            self.model.make_train_function(force=True)


def restart_moments(optimizer):
    """Sets the moments of an optimizer to 0 if it has `restart`, as `optimizers.Adam` has.

    Args:
        optimizer: Keras optimizer, or a `LossScaleOptimizer` around one.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "restart"):
        optimizer.restart()


def check_stage_epochs(model, own_generator):
    """Raises `ValueError` unless a `StagedModel` can be trained in the stages of its `stage_epochs`.

    Args:
        model: `StagedModel` with its settings.
        own_generator: `keras.Model` that was given, or None.
    """
    stage_epochs = model.stage_epochs
    if not isinstance(stage_epochs, (tuple, list)) or len(stage_epochs) != 2:
        raise ValueError(
            "`stage_epochs` must be two integers, epochs of the global generator alone and of the enhancers alone. "
            f"Received: stage_epochs={stage_epochs!r}"
        )
    for epochs in stage_epochs:
        check_integer("stage_epochs", epochs, 0)
    obstacles = {
        "when `enhancers` is 0: there is nothing to train one after the other": not model.enhancers,
        "with an own `generator_network`, whose parts are unknown": own_generator is not None,
    }
    for obstacle, is_there in obstacles.items():
        if any(stage_epochs) and is_there:
            raise ValueError(f"`stage_epochs` must be (0, 0) {obstacle}. Received: stage_epochs={stage_epochs}")
    if model.pool_size and stage_epochs[0]:
        raise ValueError(
            "`pool_size` must be 0 when `stage_epochs` begins with the global generator, whose images are smaller. "
            f"Received: pool_size={model.pool_size}, stage_epochs={stage_epochs}"
        )
