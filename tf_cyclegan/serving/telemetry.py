"""Figures for Prometheus, under TensorFlow Serving's names as far as they exist."""

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tf_cyclegan.serving.limits import ImageRejected

_COUNT = ":tensorflow:serving:request_count"
_MICROSECONDS = tuple(10 * 1.8**power for power in range(33))


class Telemetry:
    """Counts requests.

    Args:
        admission: `Admission`, for the requests that run and wait.
        budget: `MemoryBudget`, for the memory that is reserved.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, admission, budget):
        self._registry = CollectorRegistry()
        # A Counter would call it request_count_total.
        self._requests = self._add(Gauge, _COUNT, "Requests by model and outcome.", ["model_name", "status"])
        self._latency = self._add(
            Histogram,
            ":tensorflow:serving:request_latency",
            "Microseconds from a request's arrival to its reply.",
            ["model_name", "API", "entrypoint"],
            buckets=_MICROSECONDS,
        )
        self._shed = self._add(Counter, "serving_shed", "Requests refused because too many waited.")
        self._rejected = self._add(Counter, "serving_rejected_images", "Images refused for their size.")
        self._add(Gauge, "serving_running", "Requests computed now.").set_function(lambda: admission.running)
        self._add(Gauge, "serving_queued", "Requests waiting now.").set_function(lambda: admission.queued)
        reserved = self._add(Gauge, "serving_reserved_bytes", "Memory kept for the images of running requests.")
        reserved.set_function(lambda: budget.reserved)

    def count(self, model, error, seconds, entrypoint):
        """Counts a request.

        Args:
            model: str; "" for a model that is not served: names that clients invent must not fill the memory.
            error: exception that the request ended with, or None.
            seconds: float, from its arrival to its reply.
            entrypoint: "REST" or "GRPC", the interface.
        """
        status = "OK" if error is None else getattr(error, "code", "INTERNAL")
        self._requests.labels(model, status).inc()
        self._latency.labels(model, "predict", entrypoint).observe(seconds * 1e6)
        if status == "UNAVAILABLE":
            self._shed.inc()
        if isinstance(error, ImageRejected):
            self._rejected.inc()

    def exposition(self):
        """Returns the figures in Prometheus's text format, as bytes."""
        text = generate_latest(self._registry)
        return text.replace(f"# TYPE {_COUNT} gauge".encode(), f"# TYPE {_COUNT} counter".encode())

    def _add(self, kind, name, text, labels=(), **options):
        return kind(name, text, labels, registry=self._registry, **options)
