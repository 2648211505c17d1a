"""Stopping after Ctrl-C, by all workers together."""

import signal
import threading

import keras


class Interrupt(keras.callbacks.Callback):
    """Lets SIGINT (Ctrl-C) and SIGTERM finish the current step before training stops.

    After the step, `model.stop_training` is set, so that `fit` returns and `signal` tells which one came. A second
    SIGINT raises `KeyboardInterrupt` at once. The old handlers come back at the end of training; as a context manager
    also if `fit` raises. Outside the main thread, where Python allows no handlers, it does nothing. Put it before the
    other callbacks.

    Args:
        report: optional callable that shows one line when a signal came. Defaults to None.

    Example:
        >>> with Interrupt() as interrupt:  # doctest: +SKIP
        ...     model.fit(dataset, callbacks=[interrupt, checkpoints])
        ...     stopped = interrupt.signal is not None
    """

    def __init__(self, report=None):
        super().__init__()
        self.report = report
        self.signal = None
        self._old_handlers = {}
        self._in_context = False
        self._reported = False

    def __enter__(self):
        self._in_context = True
        self._install()
        return self

    def __exit__(self, *_):
        self._in_context = False
        self._restore()

    def on_train_begin(self, logs=None):
        self._install()

    def on_train_batch_end(self, batch, logs=None):
        self._stop_if_asked()

    def on_epoch_end(self, epoch, logs=None):
        self._stop_if_asked()

    def on_train_end(self, logs=None):
        if not self._in_context:
            self._restore()

    def _install(self):
        if self._old_handlers or threading.current_thread() is not threading.main_thread():
            return
        self.signal, self._reported = None, False
        self._old_handlers = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}

    def _restore(self):
        for number, handler in self._old_handlers.items():
            # None stands for a handler that was not installed from Python and cannot be put back from it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._old_handlers = {}

    def _handle(self, number, frame):
        # Only a flag: a handler runs between any two instructions, where writing to a stream may fail.
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or signal.Signals(number)

    def _stop_if_asked(self):
        if self.signal is None:
            return
        self.model.stop_training = True
        if self.report is not None and not self._reported:
            self._reported = True
            self.report(
                f"{self.signal.name}: training stops here. Another Ctrl-C ends the program at once, without saving."
            )


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
