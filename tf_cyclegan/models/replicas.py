"""State that each replica has for itself: variables of one value a replica, saved as one array.

Keras makes variables that nothing aggregates: under a strategy each replica then writes and reads a copy of its own.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

# Between the seeds of two replicas. Far apart, as neighboring seeds are what people choose for runs.
_SEED_STRIDE = 1_000_003


def replica_count():
    """Replicas that train together, of all workers; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def spread_seeds(states):
    """Gives each replica a random state of its own, made from the one that all have: replica 0 keeps it.

    As all replicas draw alike, the first one's state says everything; it is the one that is saved.

    Args:
        states: list of Keras variables `(seed, count)`, equal on all replicas.
    """
    if replica_count() == 1:
        return
    for state in states:
        seed, drawn = state.numpy()
        for replica, own in _local_copies(state):
            own.assign([seed + _SEED_STRIDE * replica, drawn])


class ReplicaArrays:
    """Variables that each replica has for itself, as arrays with an axis of replicas in front.

    Args:
        variables: list of Keras variables, of one strategy.
    """

    def __init__(self, variables):
        self._variables = variables
        self._strategy = _strategy_of(variables[0])
        # What was gathered last. Variables, as what takes a snapshot of a model takes one of these: `keras.Variable`s.
        self.gathered = []
        self._fetch = None

    @property
    def are_many(self):
        """Whether there is more than one replica."""
        return self._strategy.num_replicas_in_sync > 1

    def gather(self, keep=True):
        """Fetches the values of all replicas, which all workers must do at the same time.

        Args:
            keep: bool, whether this worker is one that needs them. Defaults to True.
        """
        if not self.are_many:
            return
        arrays = self._of_all() if spans_workers(self._strategy) else self._of_this_worker()
        if keep and not self.gathered:
            with tf.device("CPU:0"):
                self.gathered = [keras.Variable(array, dtype=array.dtype.name, trainable=False) for array in arrays]
        for variable, array in zip(self.gathered, arrays, strict=False):
            variable.assign(array)

    def variables(self):
        """Variables with the arrays to save, for what takes a snapshot: of several workers as they were gathered."""
        if self.are_many and not spans_workers(self._strategy):
            self.gather()
        return self.gathered

    def values(self):
        """The arrays to save: in this process as they are now, of several workers as they were gathered."""
        # Within a snapshot variables are tensors of the moment at which it was taken.
        as_taken = not hasattr(self._variables[0].value, "assign")
        if as_taken or spans_workers(self._strategy):
            if not self.gathered:
                raise RuntimeError(
                    "Replicas have values of their own: all workers must call `gather_replicas()` first."
                )
            return [variable.numpy() for variable in self.gathered]
        return self._of_this_worker()

    def assign(self, arrays):
        """The reverse of `values`, also for another number of replicas: replica r gets array r modulo their number.

        Args:
            arrays: list of arrays with an axis of replicas in front.
        """
        for variable, values in zip(self._variables, arrays, strict=True):
            for replica, own in _local_copies(variable):
                own.assign(values[replica % len(values)])

    def _of_this_worker(self):
        return [np.stack([own.numpy() for _, own in _local_copies(variable)]) for variable in self._variables]

    def _of_all(self):
        if self._fetch is None:
            self._fetch = _gathering(self._strategy, lambda: [tf.identity(v.value) for v in self._variables])
        return self._fetch()


def spans_workers(strategy=None):
    """Whether a strategy, by default the present one, has replicas in several processes."""
    strategy = strategy or tf.distribute.get_strategy()
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and worker_count(strategy) > 1


def worker_count(strategy):
    """The processes that a strategy's replicas are in."""
    return strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)


@functools.cache
def replica_numbers(strategy):
    """The numbers of this worker's replicas among those of all workers, as a list of ints."""

    def number():
        return tf.convert_to_tensor(tf.distribute.get_replica_context().replica_id_in_sync_group)

    numbers = tf.function(lambda: strategy.run(number), autograph=False)()
    return [int(value) for value in strategy.experimental_local_results(numbers)]


def all_values(strategy, value):
    """A number that each worker has, of all of them, in the order of their replicas.

    Args:
        strategy: `tf.distribute.Strategy`; all its workers must call it at the same time.
        value: int.

    Returns:
        List of ints, one a replica.
    """
    (values,) = _gathering(strategy, lambda: [tf.constant(value, "int64")])()
    return values.tolist()


def _gathering(strategy, tensors):
    """A function that returns tensors of all replicas as arrays, by the numbers of the replicas.

    Args:
        strategy: `tf.distribute.Strategy`; all its workers must call the function at the same time.
        tensors: callable without arguments, called on each replica, that returns a list of tensors.
    """

    def on_replica():
        replica = tf.distribute.get_replica_context()
        own = [tf.cast(replica.replica_id_in_sync_group, "int32"), *tensors()]
        return [replica.all_gather(tensor[None], axis=0) for tensor in own]

    # Traced here: TensorFlow would warn of several functions from one line.
    run = tf.function(lambda: strategy.run(on_replica), autograph=False).get_concrete_function()

    def gather():
        numbers, *arrays = (strategy.experimental_local_results(answer)[0].numpy() for answer in run())
        return [array[np.argsort(numbers)] for array in arrays]

    return gather


def _strategy_of(variable):
    return getattr(variable.value, "distribute_strategy", None) or tf.distribute.get_strategy()


def _local_copies(variable):
    """`(number of the replica, its variable)` for the replicas of this worker."""
    strategy = _strategy_of(variable)
    copies = strategy.experimental_local_results(variable.value)
    return list(zip(replica_numbers(strategy), copies, strict=True))
