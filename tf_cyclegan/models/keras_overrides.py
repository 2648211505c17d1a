"""What Keras does otherwise than several replicas need: overrides of methods that Keras keeps to itself.

`models/batches.py` is the only other place with such, and goes through these.
"""

import keras
import tensorflow as tf

from tf_cyclegan.models.replicas import replica_count

# Methods of Keras that are overridden or called here, with their arguments. `tests/training/test_distribution.py`
# notices when Keras changes them.
KERAS_INTERNALS = {
    "_maybe_symbolic_build": ("self", "iterator", "data_batch"),
    "make_train_function": ("self", "force"),
    "make_test_function": ("self", "force"),
}


class ReplicatedTraining:
    """Has `fit` and `evaluate` run on every strategy; a mixin that stands before `keras.Model`.

    Without a strategy it changes nothing. Under one, Keras 3.15

    - builds the model by a whole batch summed over the replicas, which fails with several workers, and takes that
      batch from an iterator that may not begin anew: models here are built when they are made;
    - reduces each scalar of the logs apart, in a way that fails with several workers: here all of them are one vector,
      whose mean over the replicas is one operation.
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
        """Has `stop_is_asked` be true after the next step, on every worker: one alone must not leave the others."""
        self._stop_votes.assign(1.0)

    def _replicated(self, step):
        """What `fit` calls for a step: an iterator, or batches of all replicas, to means over the replicas."""
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
                # Each replica has its own. Not a weight: it does not belong into a saved model.
                votes = tf.Variable(0.0, trainable=False, aggregation=tf.VariableAggregation.NONE, name="stop_votes")
            # Past Keras's tracking, which is over when a model is built.
            object.__setattr__(self, "_stop_votes", votes)

    @tf.autograph.experimental.do_not_convert
    def _with_means(self, step, data):
        """A step on one replica; its logs are the means over all."""
        logs = step(data)
        values = [tf.cast(value, "float32") for value in (*logs.values(), self._stop_votes)]
        means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tf.stack(values))
        return dict(zip((*logs, _VOTES), tf.unstack(means), strict=True))


_VOTES = "stop_votes"


def check_compile_arguments(jit_compile, steps_per_execution):
    """Raises `ValueError` for arguments of `compile` that there are not under a strategy.

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
    """Raises `ValueError` for an optimizer that scales the loss, where there are several replicas.

    Keras asks each replica whether its own gradients are finite, before they are summed: where the answers differ,
    replicas would wait for each other forever, or go apart.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) and replica_count() > 1:
        raise ValueError(
            "`dtype` must not be 'mixed_float16' with several replicas: take float32 or bfloat16. "
            "Received: an optimizer that scales the loss"
        )
