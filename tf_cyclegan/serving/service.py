"""What REST and gRPC share: the models, the limits, and one prediction from its inputs to its outputs."""

import contextlib
import threading
import time

from tf_cyclegan.serving.admission import Admission
from tf_cyclegan.serving.errors import too_late
from tf_cyclegan.serving.limits import check_inputs
from tf_cyclegan.serving.memory import MemoryBudget, free_bytes
from tf_cyclegan.serving.rest.json_documents import PROCESSES, Documents
from tf_cyclegan.serving.telemetry import Telemetry

GRACE_SECONDS = 0.5  # from the end of a server on, in which it still takes requests
FINISH_SECONDS = 30  # for requests to be answered after the end
REPLY_SECONDS = 60  # for a client to take a reply in


class Service:
    """The models of a server, its limits, and the parts that hold them.

    `stopping` is True from the end on, and `unread_bytes()`, which the server sets, is the size of the replies that
    clients of REST have yet to take in.

    Args:
        repository: `Repository`, already scanned or started.
        limits: `Limits`.
    """

    def __init__(self, repository, limits):
        self.repository, self.limits = repository, limits
        self.admission = Admission(limits, PROCESSES)
        self.documents = Documents(limits, free_bytes())
        self.budget = MemoryBudget(limits.max_memory_bytes)
        self.predictor = Predictor(limits, self.budget)
        self.telemetry = Telemetry(self.admission, self.budget)
        self.unread_bytes = int  # 0
        self.stopping = False

    def count(self, model, error, started, interface):
        """Counts a request, of no model where the one that it names is not known.

        Args:
            model: str.
            error: exception that it ended with, or None.
            started: float, on the clock of `time.monotonic`.
            interface: `"REST"` or `"GRPC"`.
        """
        known = model if self.repository.knows(model) else ""
        self.telemetry.count(known, error, time.monotonic() - started, interface)

    def close(self):
        """Drops what waits, and ends the threads and processes, those that work with their work."""
        self.stopping = True
        self.admission.close()
        self.documents.close()


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
