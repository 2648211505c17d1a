"""Snapshots of a model's variables, and the thread that writes them while training goes on."""

import threading

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.saving import saving_lib


class Snapshot:
    """The values of all variables of a model at one step.

    It takes no time and, at first, no memory: a tensor that was read from a variable keeps its values, since
    TensorFlow's kernels copy a shared buffer before they write into it. Variables that training changes while the
    snapshot lives are held twice, on their device.

    Args:
        model: built `keras.Model`. Variables that Keras does not track but `save_own_variables` reads must be in the
            model's `untracked_variables`.

    Example:
        >>> snapshot = Snapshot(model)  # doctest: +SKIP
        >>> model.fit(dataset)  # doctest: +SKIP
        >>> snapshot.save("before.keras")  # doctest: +SKIP
    """

    def __init__(self, model):
        self._model = model
        self._values = [(variable, tf.convert_to_tensor(variable.value)) for variable in _variables(model)]

    @property
    def nbytes(self):
        """The size of the values in bytes."""
        return sum(value.shape.num_elements() * value.dtype.size for _, value in self._values)

    def broken_weights(self):
        """The paths of the trainable weights that are NaN or infinite."""
        trained = {id(variable) for variable in self._model.trainable_variables}
        weights = [(variable, value) for variable, value in self._values if id(variable) in trained]
        return [variable.path for variable, value in weights if not bool(tf.reduce_all(tf.math.is_finite(value)))]

    def save(self, path):
        """Writes the file that `model.save(path)` would have written at the snapshot's step; works in any thread.

        Args:
            path: file that ends in `.keras`.
        """
        _know_what_to_skip()
        with _Reading(self._values, initialize_variables=False):
            self._model.save(path)


class Background:
    """Runs one function at a time in a thread; `wait` raises its error.

    The program ends after the function, as the thread is no daemon.
    """

    def __init__(self):
        self._thread = None
        self._error = None

    def start(self, work):
        """Runs a function when the one before has ended.

        Args:
            work: callable without arguments.

        Raises:
            Exception: the error of the function before.
        """
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), name="checkpoint")
        self._thread.start()

    @property
    def is_done(self):
        """Whether a function has ended that nobody has waited for."""
        return self._thread is not None and not self._thread.is_alive()

    def wait(self):
        """Waits until no function is running.

        Raises:
            Exception: the error of the function, once.
        """
        if self._thread is None:
            return
        self._thread.join()
        error, self._thread, self._error = self._error, None, None
        if error is not None:
            raise error

    def _run(self, work):
        try:
            work()
        except BaseException as error:
            self._error = error


class _Reading(keras.StatelessScope):
    """A scope in which variables have the given values, for its own thread alone."""

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is None:  # Keras would read the present value
            raise RuntimeError(f"The variable {variable.path} is missing in the snapshot that is being saved.")
        return value


def _variables(model):
    """The variables of the model and of all its optimizers; Keras lists only one optimizer."""
    attributes = vars(model).values()
    optimizers = [value for value in attributes if isinstance(value, keras.optimizers.Optimizer)]
    untracked = getattr(model, "untracked_variables", [])
    found = [*model.variables, *untracked, *(v for optimizer in optimizers for v in optimizer.variables)]
    return {id(variable): variable for variable in found}.values()


def _know_what_to_skip():
    """Fills, for this thread, Keras's lists of attributes that hold no state.

    Keras makes an object of each kind to find the attributes, and an optimizer makes variables, which a
    `StatelessScope` forbids. Keras 3.15 also stores the lists under another name than it reads, and so makes the
    objects again for every layer that it saves, which is most of the time for a small model.
    `tests/training/test_callbacks_snapshot.py` fails when Keras changes this.
    """
    for kind in ("Operation", "Layer", "Functional", "Sequential", "Metric", "Optimizer", "Loss"):
        global_state.set_global_attribute(f"saving_attr_skiplist_{kind}", saving_lib.get_attr_skipset(kind))
