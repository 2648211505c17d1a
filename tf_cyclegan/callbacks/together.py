"""What processes that train together must do together."""

import signal

import keras

from tf_cyclegan.callbacks.interrupt import Interrupt


class ReplicaStates(keras.callbacks.Callback):
    """Fetches what each replica has for itself, at the steps at which `Checkpoints` saves, on every worker.

    Only the chief saves, but no worker can be asked alone. Put it before all that saves.

    Args:
        frequency_steps: optional int, as that of `Checkpoints`. Defaults to None.
        keep: bool, whether this worker saves. Defaults to True.
    """

    def __init__(self, frequency_steps=None, keep=True):
        super().__init__()
        self.frequency_steps = frequency_steps
        self.keep = keep
        self._gathered_step = None

    def on_train_begin(self, logs=None):
        self._gather()  # an evaluation that is due may save before the first step

    def on_train_batch_end(self, batch, logs=None):
        if self.frequency_steps and int(self.model.step.numpy()) % self.frequency_steps == 0:
            self._gather()

    def on_epoch_end(self, epoch, logs=None):
        self._gather()

    def on_train_end(self, logs=None):
        self._gather()

    def _gather(self):
        step = int(self.model.step.numpy())
        if step != self._gathered_step:
            self.model.gather_replicas(self.keep)
            self._gathered_step = step


class AgreedInterrupt(Interrupt):
    """An `Interrupt` of processes that train together: a signal to one of them stops all, after the same step.

    What one has heard of is a vote in its next step, and `signal` is set on all when the vote is known.

    Args:
        report: as that of `Interrupt`.
    """

    def __init__(self, report=None):
        super().__init__(report)
        self._heard = None

    def _handle(self, number, frame):
        agreed, self.signal = self.signal, self._heard
        try:
            super()._handle(number, frame)
        finally:
            self._heard, self.signal = self.signal, agreed

    def _stop_if_asked(self):
        if self._heard is not None:
            self.model.ask_to_stop()
        if self.model.stop_is_asked:
            self.signal = self._heard or signal.SIGTERM
        super()._stop_if_asked()
