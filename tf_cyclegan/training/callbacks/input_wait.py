"""The share of time that training waits for its input."""

import collections
import time

import keras
import tensorflow as tf

_now = time.perf_counter


class InputWait(keras.callbacks.Callback):
    """Measures the share of time that training waits for its input.

    `watch` notes when each batch is ready, and the callback when `fit` asks for it: the waiting time is the difference.
    Counting begins with the second step, as the first step traces the graph.

    Example:
        >>> wait = InputWait()
        >>> model.fit(wait.watch(dataset), callbacks=[wait])  # doctest: +SKIP
        >>> wait.share  # doctest: +SKIP
        0.02
    """

    def __init__(self):
        super().__init__()
        self._ready = collections.deque(maxlen=1000)  # safe for a thread of tf.data to append to
        self._taken = 0  # batches taken from the iterator of this epoch
        self._last_batch = -1
        self._asked_at = None
        self._counting_since = None
        self._ended_at = None
        self.waited = 0.0

    def watch(self, dataset, prefetch=2):
        """The same data set, observed.

        Args:
            dataset: `tf.data.Dataset`, batched. It needs no `prefetch` at its end.
            prefetch: int, batches that are made ahead. Defaults to 2.

        Returns:
            A `tf.data.Dataset` of the same elements and length.
        """

        def observe(index, batch):
            tf.numpy_function(self._note_ready, [index], [])
            return batch

        return dataset.enumerate().map(observe).prefetch(prefetch)

    @property
    def share(self):
        """The waiting time as a share of the time since the second step; None before the end of that step."""
        if self._counting_since is None or self._ended_at is None:
            return None
        return min(self.waited / max(self._ended_at - self._counting_since, 1e-9), 1.0)

    def on_train_begin(self, logs=None):
        self.waited, self._counting_since, self._ended_at, self._asked_at = 0.0, None, None, None
        self._ready.clear()
        self._taken = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._last_batch = -1

    def on_train_batch_begin(self, batch, logs=None):
        now = _now()
        if self._counting_since is None and self._asked_at is not None:
            self._counting_since = now
        self._asked_at = now

    def on_train_batch_end(self, batch, logs=None):
        ready_at = [self._take() for _ in range(batch - self._last_batch)]
        self._last_batch = batch
        if self._counting_since is None:
            return
        self._ended_at = _now()
        known = [time for time in ready_at if time is not None]
        if known:
            # A call with `steps_per_execution` takes several batches; the time of asking is known for the first only.
            self.waited += max(0.0, known[0] - self._asked_at)

    def _note_ready(self, index):
        self._ready.append((int(index), _now()))

    def _take(self):
        """The time at which the taken batch was ready; drops batches of an earlier iterator that nobody took."""
        while self._ready:
            index, ready_at = self._ready.popleft()
            if index == 0:  # a new iterator
                self._taken = 0
            if index == self._taken:
                self._taken += 1
                return ready_at
        return None
