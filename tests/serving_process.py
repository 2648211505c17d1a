"""A server in a process of its own, and requests to one, for the tests and benchmarks of serving."""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

STARTUP = 300


@dataclass(frozen=True)
class Reply:
    """A reply of a server; header names are in lower case."""

    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


def call(url, method, path, body=None, headers=None, timeout=60):
    """Sends one request on a connection of its own.

    Args:
        url: str, where the server is, `http://HOST:PORT`.
        method: str.
        path: str, sent as it is.
        body: bytes, or None for no body; an iterable of bytes goes out in chunks. Defaults to None.
        headers: dict. Defaults to None.
        timeout: float, seconds. Defaults to 60.

    Returns:
        The `Reply`.

    Raises:
        OSError, http.client.HTTPException: if there is no whole reply.
    """
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        fields = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, fields, reply.read())
    finally:
        connection.close()


def predict(url, model, request, timeout=60):
    """Posts a request, given as what JSON can hold, to a model."""
    return call(url, "POST", f"/v1/models/{model}:predict", json.dumps(request).encode(), timeout=timeout)


def eventually(condition, seconds=120):
    """Waits until a condition holds; a busy machine may take long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


class Server:
    """`tf-cyclegan serve` on a free port, as a context manager.

    Args:
        directory: folder of the models, or None for the bundled weights.
        *flags: str, further flags.

    Raises:
        RuntimeError: on entry, if it ends or says no address within `STARTUP` seconds, with the text that it wrote.
    """

    def __init__(self, directory, *flags):
        self._command = [sys.executable, "-m", "tf_cyclegan", "serve", "--port=0", *flags]
        self._command += [] if directory is None else [str(directory)]
        self._output = []

    def __enter__(self):
        self._errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)  # a full pipe would stop the server
        self._reader.start()
        try:
            self.url = self._wait_for_url()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error):
        self.stop()

    def running(self):
        return self.process.poll() is None

    def resident_bytes(self):
        """Memory that the process has now, on Linux."""
        return self._status("VmRSS") * 1024

    def peak_bytes(self):
        """The most memory that it ever had."""
        return self._status("VmHWM") * 1024

    def threads(self):
        return self._status("Threads")

    def errors(self):
        """The text that it has written to its error stream."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def stop(self, timeout=120):
        """Ends it as a supervisor does, by SIGTERM.

        Returns:
            Its exit code.
        """
        if self.running():
            self.process.terminate()
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        return code

    def _status(self, field):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+)", status, re.M)[1])

    def _read(self):
        for line in self.process.stdout:
            self._output.append(line)

    def _wait_for_url(self):
        deadline = time.monotonic() + STARTUP
        while time.monotonic() < deadline and self.running():
            match = re.search(r"http://[\w.\[\]:-]+:\d+", "".join(self._output))
            if match:
                return match[0]
            time.sleep(0.05)
        raise RuntimeError(f"no address from {' '.join(self._command)}\n{''.join(self._output)}{self.errors()}")

    def _wait_until_ready(self):
        deadline = time.monotonic() + STARTUP
        while time.monotonic() < deadline and self.running():
            try:
                if call(self.url, "GET", "/readyz", timeout=5).status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"not ready: {' '.join(self._command)}\n{self.errors()}")
