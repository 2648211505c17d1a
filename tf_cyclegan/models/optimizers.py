"""Adam as PyTorch computes it, with one fused kernel for each variable."""

import functools

import keras
import tensorflow as tf
from keras import ops

from tf_cyclegan.networks.layers.runtime import computed_apart
from tf_cyclegan.settings.checks import check_weight


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class Adam(keras.optimizers.Adam):
    """Keras's Adam with PyTorch's epsilon and TensorFlow's fused kernel.

    PyTorch adds epsilon to the bias-corrected root, `sqrt(v / (1 - beta_2^t)) + epsilon`, Keras to the uncorrected
    one, which makes epsilon 31 times larger in the first step. The fused kernel also saves the passes over memory
    that Keras's arithmetic takes, a few percent of a training step.

    Args:
        learning_rate: float or schedule. Defaults to 2e-4, the CycleGAN paper's.
        beta_1: float, decay of the first moment. Defaults to 0.5, the paper's.
        beta_2: float, decay of the second moment. Defaults to 0.999.
        epsilon: float, PyTorch's. Defaults to 1e-8.
        l2: float of at least 0; `l2 * variable` is added to the gradient before the moments. This is PyTorch's
            `weight_decay`; Keras's `weight_decay` acts on the variable past the moments. Defaults to 0.
        **kwargs: of `keras.optimizers.Adam`, but not `amsgrad`, which the kernel does not know.

    Raises:
        ValueError: if `amsgrad` is asked for, or `l2` is negative.

    Reference:
        [Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980)
    """

    def __init__(self, learning_rate=2e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-8, l2=0.0, name="adam", **kwargs):
        if kwargs.get("amsgrad"):
            raise ValueError("`amsgrad` must be False: take `keras.optimizers.Adam` for it. Received: amsgrad=True")
        check_weight("l2", l2)
        super().__init__(
            learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, name=name, **kwargs
        )
        self.l2 = l2

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._restarted_at = self.add_variable(
            shape=(), dtype="int64", aggregation="only_first_replica", name="restarted_at"
        )

    def restart(self):
        """Sets the moments to 0, as in a new optimizer; `iterations`, and with it a schedule, goes on."""
        for moment in (*self._momentums, *self._velocities):
            moment.assign(ops.zeros_like(moment))
        self._restarted_at.assign(ops.cast(self.iterations, "int64"))

    def load_own_variables(self, store):
        """Also loads files of older versions, which lack the last variable, `restarted_at`, the only last int64."""
        entries = {key: store[key] for key in store.keys()}
        last = len(entries) - 1
        if last == len(self.variables) - 2 and last > 0 and entries[str(last)].dtype != "int64":
            entries[str(last + 1)] = ops.zeros((), "int64")
        super().load_own_variables(entries)

    def apply(self, grads, trainable_variables=None):
        # Once for all variables: the same arithmetic 50 times would be a tenth of the traced operations.
        self._numbers = functools.cache(self._numbers_of_this_step)
        super().apply(grads, trainable_variables)
        self._numbers = None  # not `del`: each of several replicas comes here

    def _numbers_of_this_step(self, dtype):
        """The scalars that the kernel takes: the powers of both betas, both betas, and Keras's epsilon."""
        step = ops.cast(ops.cast(self.iterations, "int64") - self._restarted_at + 1, dtype)
        betas = [ops.cast(beta, dtype) for beta in (self.beta_1, self.beta_2)]
        powers = [ops.power(beta, step) for beta in betas]
        return *powers, *betas, ops.cast(self.epsilon, dtype) * ops.sqrt(1 - powers[1])

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        beta_1_power, beta_2_power, beta_1, beta_2, epsilon = self._numbers(dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=ops.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            # cuDNN's gradients of filters are transposed. An update fused with that could not be made in place.
            grad=self._with_l2(computed_apart(ops.cast(gradient, dtype)), variable),
        )

    def _with_l2(self, gradient, variable):
        return gradient + self.l2 * variable if self.l2 else gradient

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


def _handle(variable):
    """The resource of a variable of Keras or of TensorFlow; Keras hands over both kinds."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
