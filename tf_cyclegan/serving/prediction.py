"""What the REST and the gRPC interface do with the inputs of a request, once they have read them."""

import contextlib
import threading
import time

from tf_cyclegan.serving.errors import too_late
from tf_cyclegan.serving.limits import check_inputs


class Predictor:
    """Computes signatures within the limits.

    Args:
        limits: `Limits`.
        budget: `MemoryBudget`.
    """

    def __init__(self, limits, budget):
        self._limits = limits
        self._budget = budget
        self._places = threading.BoundedSemaphore(limits.max_running)

    def predict(self, version, signature_name, inputs, deadline, outputs=None):
        """Computes a signature.

        Args:
            version: what `Repository.use` gives.
            signature_name: str, a key of its signatures.
            inputs: dict, name to array; strings are object arrays of bytes.
            deadline: float, on the clock of `time.monotonic`.
            outputs: optional collection of names of outputs to compute. Defaults to all.

        Returns:
            dict, name of an output to its array.

        Raises:
            ServingError: if the inputs go beyond a limit or do not fit, there is not enough memory for them, the time
                is over, or the computation fails.
        """
        needed = check_inputs(inputs, self._limits) * version.bytes_a_pixel.get(signature_name, 0)
        with self._place(deadline), self._budget.reserve(needed):
            return version.engine.run(signature_name, inputs, timeout_seconds=_left(deadline), outputs=outputs)

    @contextlib.contextmanager
    def _place(self, deadline):
        if not self._places.acquire(timeout=_left(deadline)):
            raise too_late()
        try:
            yield
        finally:
            self._places.release()


def _left(deadline):
    return max(deadline - time.monotonic(), 0.001)
