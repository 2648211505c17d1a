"""Models without TensorFlow, for the tests of the server around them."""

import threading
import time

import numpy as np

from tf_cyclegan.serving import repository as repositories
from tf_cyclegan.serving.errors import ServingError
from tf_cyclegan.serving.model_signatures import Signature, TensorInfo
from tf_cyclegan.serving.repository import Repository

BYTES = Signature(
    {"image_bytes": TensorInfo("string", (None,))}, {"translated_bytes": TensorInfo("string", (None,))}, ""
)
NUMBERS = Signature({"x": TensorInfo("float32", (None,))}, {"y": TensorInfo("float32", (None,))}, "")


class FakeEngine:
    """Adds 1, once its `gate` is open. A negative number is that many seconds of work, which a timeout cuts off."""

    def __init__(self, path):
        self.signatures = {"serving_default": BYTES if path.parts[-2] == "bytes_ab" else NUMBERS}
        self.runs = 0
        self.gate = threading.Event()
        self.gate.set()

    def run(self, name, inputs, timeout_seconds=None, outputs=None):
        self.runs += 1
        assert self.gate.wait(60)
        (values,) = inputs.values()
        if values.dtype == object:
            return {"translated_bytes": values}
        seconds = max(0.0, -float(values.min()))
        time.sleep(min(seconds, timeout_seconds + 0.05))  # TensorFlow notices a little late
        if seconds > timeout_seconds:
            raise ServingError("DEADLINE_EXCEEDED", "Timed out")
        if values.max() == 404:
            raise KeyError("a secret place")
        return {"y": values + np.float32(1)}

    def metadata(self):
        return {}

    def peak_bytes(self, name, inputs):
        return 0

    def replay_warmup(self):
        return 0

    def close(self):
        pass


def fake_repository(folder, monkeypatch):
    """A scanned `Repository` of three models in a folder: emoji_ab, emoji_ba and bytes_ab."""
    monkeypatch.setattr(repositories, "Engine", FakeEngine)
    for name in ("emoji_ab", "emoji_ba", "bytes_ab"):
        (folder / name / "1").mkdir(parents=True)
    repository = Repository(folder)
    repository.scan()
    return repository
