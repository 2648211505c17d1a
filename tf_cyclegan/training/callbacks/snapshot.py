"""A model's values at one step, taken at once and written in the background."""

import threading

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.saving import saving_lib


class Snapshot:
    """The values of all variables of a model, whatever is assigned to the variables later.

    It takes no time and, at first, no memory: a tensor that was read from a variable keeps its values, since
    TensorFlow's kernels copy a variable whose buffer somebody else holds before they write into it. What training
    changes until the snapshot is dropped is then held twice, on the device of the variables.

    Args:
        model: built `keras.Model`. Variables that Keras does not know but the model's `save_own_variables` reads must
            be in its `untracked_variables`, if it has such.

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
        """What the values take, in bytes."""
        return sum(value.shape.num_elements() * value.dtype.size for _, value in self._values)

    def broken_weights(self):
        """The paths of the trainable weights that are NaN or infinite."""
        trained = {id(variable) for variable in self._model.trainable_variables}
        weights = [(variable, value) for variable, value in self._values if id(variable) in trained]
        return [variable.path for variable, value in weights if not bool(tf.reduce_all(tf.math.is_finite(value)))]

    def save(self, path):
        """Writes what `model.save(path)` would have written when the snapshot was taken; in any thread.

        Args:
            path: file that ends in `.keras`.
        """
        _know_what_to_skip()
        with _Reading(self._values, initialize_variables=False):
            self._model.save(path)


class _Reading(keras.StatelessScope):
    """Within it, and in its thread alone, variables have the values that are given."""

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is None:  # Keras would read the variable as it is by now
            raise RuntimeError(f"The variable {variable.path} is missing in the snapshot that is being saved.")
        return value


def _variables(model):
    """The variables of the model and of its optimizers, of which Keras lists only its own."""
    attributes = vars(model).values()
    optimizers = [value for value in attributes if isinstance(value, keras.optimizers.Optimizer)]
    untracked = getattr(model, "untracked_variables", [])
    found = [*model.variables, *untracked, *(v for optimizer in optimizers for v in optimizer.variables)]
    return {id(variable): variable for variable in found}.values()


def _know_what_to_skip():
    """Fills, for this thread, Keras's notes on which attributes hold no state.

    To learn them Keras makes an object of each kind, and an optimizer makes variables, which a `StatelessScope`
    forbids. It also keeps them under another name than it looks for (3.15), and so makes them anew for every layer
    that it saves, which is most of the time that a small model takes. `tests/training/test_callbacks_snapshot.py`
    notices when Keras does it otherwise.
    """
    for kind in ("Operation", "Layer", "Functional", "Sequential", "Metric", "Optimizer", "Loss"):
        global_state.set_global_attribute(f"saving_attr_skiplist_{kind}", saving_lib.get_attr_skipset(kind))


class Background:
    """Does one piece of work at a time in a thread; what went wrong there is raised where it is waited for.

    The program does not end before the work has: its thread is no daemon.
    """

    def __init__(self):
        self._thread = None
        self._error = None

    def start(self, work):
        """Begins a piece of work, after the one before.

        Args:
            work: callable without arguments.

        Raises:
            Exception: that of the work before.
        """
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), name="checkpoint")
        self._thread.start()

    @property
    def is_done(self):
        """Whether there is work that has come to its end and was not waited for."""
        return self._thread is not None and not self._thread.is_alive()

    def wait(self):
        """Waits for the end of the work, if there is any.

        Raises:
            Exception: that of the work, once.
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
