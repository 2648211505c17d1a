"""Stopping after the current step on Ctrl-C or SIGTERM, in one process or in all workers together."""

import signal
import threading

import keras


class Interrupt(keras.callbacks.Callback):
    """Lets SIGINT (Ctrl-C) and SIGTERM finish the current step before training stops.

    After the step it sets `model.stop_training`, so that `fit` returns; `signal` is then the signal. A second SIGINT
    raises `KeyboardInterrupt` at once. The old handlers come back at the end of training; as a context manager also if
    `fit` raises. Outside the main thread, where Python allows no handlers, it does nothing. Put it before the other
    callbacks.

    Args:
        report: optional callable that shows one line after a signal. Defaults to None.

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
            # None is a handler that Python did not install, and cannot install again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._old_handlers = {}

    def _handle(self, number, frame):
        # Only sets a flag: a handler runs between any two instructions, where writing to a stream may fail.
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


class AgreedInterrupt(Interrupt):
    """An `Interrupt` for processes that train together: a signal to one of them stops all after the same step.

    A process with a signal votes in its next step; after that step, `signal` is set in all processes.

    Args:
        report: as in `Interrupt`.
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
