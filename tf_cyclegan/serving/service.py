"""The parts that REST and gRPC share: models, limits, queue, memory, figures, and the run of a prediction."""

import contextlib
import threading
import time

from tf_cyclegan.serving.admission import Admission
from tf_cyclegan.serving.errors import too_late
from tf_cyclegan.serving.limits import check_inputs
from tf_cyclegan.serving.memory import MemoryBudget, free_bytes
from tf_cyclegan.serving.rest.json_documents import PROCESSES, Documents
from tf_cyclegan.serving.telemetry import Telemetry

GRACE_SECONDS = 0.5  # in which a server that ends still takes requests
FINISH_SECONDS = 30  # in which it answers the requests that it has taken
REPLY_SECONDS = 60  # for a client to take a reply


class Service:
    """The parts of a server, for REST and gRPC alike.

    `stopping` is True once the server ends. `unread_bytes()` is the size of the replies that clients of REST have yet
    to take; the HTTP server sets it.

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
        """Counts a request; one that names an unknown model counts for no model.

        Args:
            model: str.
            error: exception that the request ended with, or None.
            started: float, its arrival on the clock of `time.monotonic`.
            interface: `"REST"` or `"GRPC"`.
        """
        known = model if self.repository.knows(model) else ""
        self.telemetry.count(known, error, time.monotonic() - started, interface)

    def close(self):
        """Drops the requests that wait, and ends threads and processes; the busy ones finish their work first."""
        self.stopping = True
        self.admission.close()
        self.documents.close()


class Predictor:
    """Runs signatures within the limits.

    Args:
        limits: `Limits`.
        budget: `MemoryBudget`.
    """

    def __init__(self, limits, budget):
        self._limits = limits
        self._budget = budget
        self._places = threading.BoundedSemaphore(limits.max_running)

    def predict(self, version, signature_name, inputs, deadline, outputs=None):
        """Runs a signature.

        Args:
            version: version of a model that `Repository.use` gives.
            signature_name: str, a key of its signatures.
            inputs: dict, name to array; strings are object arrays of bytes.
            deadline: float, on the clock of `time.monotonic`.
            outputs: optional collection of names of outputs to compute. Defaults to all.

        Returns:
            dict, name of an output to its array.

        Raises:
            ServingError: if the inputs exceed a limit or do not fit, memory is short, the deadline has passed, or the
                computation fails.
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
