"""One learning rate for callbacks to set, two optimizers that obey."""

import keras
from keras import ops

# In the place of the quotient of two rates that do not follow each other.
_APART = -1.0


class FollowingRates:
    """Has the discriminators' learning rate follow the generators', `model.optimizer.learning_rate`.

    A model has the weights `_followed_rate`, what the generators' rate was in the last step, and `_rate_quotient`.
    """

    def _constant_rates(self):
        """The variables that hold the two learning rates, or None in the place of a schedule."""
        rates = [optimizer.learning_rate for optimizer in (self.optimizer, self.discriminator_optimizer)]
        return [rate if isinstance(rate, keras.Variable) else None for rate in rates]

    def _begin_to_follow(self):
        rate, follower = self._constant_rates()
        self._followed_rate.assign(0.0 if rate is None else rate)
        self._rate_quotient.assign(1.0)
        if rate is not None and follower is not None:
            # Not by `float`: under a strategy each replica has a copy.
            apart = ops.logical_and(ops.equal(rate, 0), ops.greater(follower, 0))
            self._rate_quotient.assign(ops.where(apart, _APART, 1.0))

    def _follow_rate(self):
        rate, follower = self._constant_rates()
        if rate is None or follower is None:
            return
        followed, quotient = self._followed_rate, self._rate_quotient
        # A rate of 0 says nothing of the other: what comes after it follows the quotient from before it. One that is
        # above 0 at that time was set on purpose: there is no quotient, and the two stay apart.
        at_zero = ops.logical_and(ops.equal(followed, 0), ops.equal(rate, 0))
        apart = ops.logical_or(quotient < 0, ops.logical_and(at_zero, follower > 0))
        after_zero = ops.where(ops.equal(follower, 0), quotient * rate, follower)
        changed = ops.where(followed > 0, follower * rate / followed, after_zero)
        quotient.assign(ops.where(apart, _APART, ops.where(followed > 0, follower / followed, quotient)))
        # An unchanged rate must stay the same to the bit, hence no multiplication by a quotient of equals.
        follows = ops.logical_and(ops.not_equal(rate, followed), ops.logical_not(apart))
        follower.assign(ops.where(follows, changed, follower))
        followed.assign(rate)
