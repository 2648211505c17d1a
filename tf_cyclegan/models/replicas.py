"""Variables with a value of its own for each replica, saved as one array.

Keras makes variables that nothing aggregates: under a strategy each replica then writes and reads a copy of its own.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

# Distance between the seeds of two replicas: large, as users give neighboring seeds to runs.
_SEED_STRIDE = 1_000_003


def replica_count():
    """The number of replicas of all workers; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def spread_seeds(states):
    """Gives each replica a random state of its own, made from a common state, which replica 0 keeps.

    All replicas draw equally often, so that a file needs the state of replica 0 only.

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
    """Variables with a value of its own for each replica, as arrays whose first axis is the replica.

    Args:
        variables: list of Keras variables, of one strategy.
    """

    def __init__(self, variables):
        self._variables = variables
        self._strategy = _strategy_of(variables[0])
        # The values that were gathered last, as `keras.Variable`s, which a snapshot of the model includes.
        self.gathered = []
        self._fetch = None

    @property
    def are_many(self):
        """Whether there is more than one replica."""
        return self._strategy.num_replicas_in_sync > 1

    def gather(self, keep=True):
        """Gathers the values of all replicas; all workers must call it at the same time.

        Args:
            keep: bool, whether this worker needs the values. Defaults to True.
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
        """Variables with the arrays to save, for a snapshot; several workers must have gathered them before."""
        if self.are_many and not spans_workers(self._strategy):
            self.gather()
        return self.gathered

    def values(self):
        """The arrays to save; several workers must have gathered them before."""
        # Within a snapshot, variables are tensors with the values of its step.
        as_taken = not hasattr(self._variables[0].value, "assign")
        if as_taken or spans_workers(self._strategy):
            if not self.gathered:
                raise RuntimeError(
                    "Replicas have values of their own: all workers must call `gather_replicas()` first."
                )
            return [variable.numpy() for variable in self.gathered]
        return self._of_this_worker()

    def assign(self, arrays):
        """Sets the variables to saved arrays. For another number of replicas, replica r gets row r modulo the rows.

        Args:
            arrays: list of arrays whose first axis is the replica.
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
    """Whether a strategy has replicas in several processes; the strategy defaults to the present one."""
    strategy = strategy or tf.distribute.get_strategy()
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and worker_count(strategy) > 1


def worker_count(strategy):
    """The number of processes that a strategy's replicas are in."""
    return strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)


@functools.cache
def replica_numbers(strategy):
    """List of the numbers of this worker's replicas among the replicas of all workers."""

    def number():
        return tf.convert_to_tensor(tf.distribute.get_replica_context().replica_id_in_sync_group)

    numbers = tf.function(lambda: strategy.run(number), autograph=False)()
    return [int(value) for value in strategy.experimental_local_results(numbers)]


def all_values(strategy, value):
    """Gathers an integer of each worker, in the order of the replicas.

    Args:
        strategy: `tf.distribute.Strategy`; all its workers must call the function at the same time.
        value: int, this worker's integer.

    Returns:
        List of ints, one for each replica.
    """
    (values,) = _gathering(strategy, lambda: [tf.constant(value, "int64")])()
    return values.tolist()


def _gathering(strategy, tensors):
    """A function that gathers tensors of all replicas as arrays, in the order of the replicas.

    Args:
        strategy: `tf.distribute.Strategy`; all its workers must call the function at the same time.
        tensors: callable without arguments, called on each replica, that returns a list of tensors.
    """

    def on_replica():
        replica = tf.distribute.get_replica_context()
        own = [tf.cast(replica.replica_id_in_sync_group, "int32"), *tensors()]
        return [replica.all_gather(tensor[None], axis=0) for tensor in own]

    # Traced at once: TensorFlow would warn of several functions from one line.
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
