"""Overrides of internal methods of Keras, which several replicas need.

Only `models/batches.py` overrides such methods too, and calls these.
"""

import keras
import tensorflow as tf

from tf_cyclegan.models.replicas import replica_count

# The overridden methods of Keras with their arguments. `tests/training/test_distribution.py` fails if Keras changes
# them.
KERAS_INTERNALS = {
    "_maybe_symbolic_build": ("self", "iterator", "data_batch"),
    "make_train_function": ("self", "force"),
    "make_test_function": ("self", "force"),
}


class ReplicatedTraining:
    """Makes `fit` and `evaluate` run on every strategy; a mixin before `keras.Model`.

    It changes nothing without a strategy. With a strategy, Keras 3.15

    - builds the model from a batch, summed over the replicas and taken from an iterator that cannot begin anew, which
      fails with several workers: models here are built by their constructors;
    - reduces each scalar of the logs by an operation that fails with several workers: here one operation computes the
      mean of all scalars over the replicas.
    """

    # Whether a worker wants to stop after this step; the same for all workers.
    stop_is_asked = False
    _stop_votes = None

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing is left to build."""

    def make_train_function(self, force=False):
        if self._distribute_strategy is None:
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = self._replicated(self.train_step)
        return self.train_function

    def make_test_function(self, force=False):
        if self._distribute_strategy is None:
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function = self._replicated(self.test_step)
        return self.test_function

    def ask_to_stop(self):
        """Makes `stop_is_asked` true after the next step, on every worker, so that all stop at the same step."""
        self._stop_votes.assign(1.0)

    def _replicated(self, step):
        """The function that `fit` calls for a step: from an iterator of batches to the means over the replicas."""
        strategy = self._distribute_strategy
        self._make_stop_votes()

        def one_step(data):
            answers = strategy.run(self._with_means, args=(step, data))
            return {name: strategy.experimental_local_results(value)[0] for name, value in answers.items()}

        def next_step(iterator):
            return one_step(next(iterator))

        if not self.run_eagerly:
            one_step, next_step = (
                tf.function(f, reduce_retracing=True, autograph=False) for f in (one_step, next_step)
            )

        def function(iterator):
            distributed = isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator))
            logs = dict(next_step(iterator) if distributed else one_step(next(iter(iterator))))
            self.stop_is_asked = bool(logs.pop(_VOTES) > 0)
            return logs

        return function

    def _make_stop_votes(self):
        if self._stop_votes is None:
            with self._distribute_strategy.scope():
                # Each replica has a variable of its own. It is no weight, as a saved model must not hold it.
                votes = tf.Variable(0.0, trainable=False, aggregation=tf.VariableAggregation.NONE, name="stop_votes")
            # Keras's tracking is locked in a built model.
            object.__setattr__(self, "_stop_votes", votes)

    @tf.autograph.experimental.do_not_convert
    def _with_means(self, step, data):
        """A step on one replica; returns the means of the logs over all replicas."""
        logs = step(data)
        values = [tf.cast(value, "float32") for value in (*logs.values(), self._stop_votes)]
        means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tf.stack(values))
        return dict(zip((*logs, _VOTES), tf.unstack(means), strict=True))


_VOTES = "stop_votes"


def check_compile_arguments(jit_compile, steps_per_execution):
    """Raises `ValueError` for arguments of `compile` that a strategy does not support.

    Args:
        jit_compile: bool.
        steps_per_execution: int.
    """
    if not tf.distribute.has_strategy():
        return
    if jit_compile and not isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        raise ValueError(
            "`jit_compile` must be False with a distribution strategy: XLA does not reach over devices, and TPUs "
            f"compile in any case. Received: jit_compile={jit_compile}"
        )
    if steps_per_execution != 1:
        raise ValueError(
            "`steps_per_execution` must be 1 with a distribution strategy. "
            f"Received: steps_per_execution={steps_per_execution}"
        )


def check_loss_scaling(optimizer):
    """Raises `ValueError` for an optimizer that scales the loss, if there are several replicas.

    Keras asks each replica whether its own gradients are finite, before it sums them: if the answers differ, replicas
    wait for each other forever, or their weights become different.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) and replica_count() > 1:
        raise ValueError(
            "`dtype` must not be 'mixed_float16' with several replicas: take float32 or bfloat16. "
            "Received: an optimizer that scales the loss"
        )
