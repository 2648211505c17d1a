"""What the REST and the gRPC interface of a server share."""

import time

from tf_cyclegan.serving.admission import Admission
from tf_cyclegan.serving.documents import PROCESSES, Documents
from tf_cyclegan.serving.memory import MemoryBudget, free_bytes
from tf_cyclegan.serving.prediction import Predictor
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
