"""The learning rate that callbacks set, and the discriminators' learning rate, which follows it."""

import keras
from keras import ops

# The quotient of two rates that do not follow each other.
_APART = -1.0


class FollowingRates:
    """Makes the discriminators' learning rate follow the generators' rate, `model.optimizer.learning_rate`.

    A model has two weights for it: `_followed_rate`, the generators' rate in the last step, and `_rate_quotient`, the
    discriminators' rate divided by the generators' rate.
    """

    def _constant_rates(self):
        """The variables of the two learning rates, with None for a rate that has a schedule."""
        rates = [optimizer.learning_rate for optimizer in (self.optimizer, self.discriminator_optimizer)]
        return [rate if isinstance(rate, keras.Variable) else None for rate in rates]

    def _begin_to_follow(self):
        rate, follower = self._constant_rates()
        self._followed_rate.assign(0.0 if rate is None else rate)
        self._rate_quotient.assign(1.0)
        if rate is not None and follower is not None:
            # Under a strategy each replica has a copy of a rate, which `float` does not read.
            apart = ops.logical_and(ops.equal(rate, 0), ops.greater(follower, 0))
            self._rate_quotient.assign(ops.where(apart, _APART, 1.0))

    def _follow_rate(self):
        rate, follower = self._constant_rates()
        if rate is None or follower is None:
            return
        followed, quotient = self._followed_rate, self._rate_quotient
        # A generators' rate of 0 gives no quotient: the next rate takes the quotient from before the 0. If the
        # discriminators' rate is above 0 meanwhile, somebody set it on purpose, and the two rates stay apart.
        at_zero = ops.logical_and(ops.equal(followed, 0), ops.equal(rate, 0))
        apart = ops.logical_or(quotient < 0, ops.logical_and(at_zero, follower > 0))
        after_zero = ops.where(ops.equal(follower, 0), quotient * rate, follower)
        changed = ops.where(followed > 0, follower * rate / followed, after_zero)
        quotient.assign(ops.where(apart, _APART, ops.where(followed > 0, follower / followed, quotient)))
        # An unchanged rate must stay the same to the bit: it is not multiplied by a quotient of equals.
        follows = ops.logical_and(ops.not_equal(rate, followed), ops.logical_not(apart))
        follower.assign(ops.where(follows, changed, follower))
        followed.assign(rate)
