"""Processes for work that would hold Python's lock for too long; a call has a deadline and a memory limit."""

import contextlib
import gc
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback

import psutil

from tf_cyclegan.serving.errors import ServingError, too_late

_KEPT_BYTES = 2**28  # a process that keeps more than this is not used again
_LAST_SECONDS = 1


class Workers:
    """Runs functions in a few processes, which start when they are needed and stay.

    Args:
        count: int, processes at the same time.
    """

    def __init__(self, count):
        self._closed = False
        self._idle = queue.LifoQueue()  # the last used is the one that runs
        for _ in range(count):
            self._idle.put(_Worker())

    def run(self, function, arguments, memory_bytes, deadline):
        """Calls a function in a process.

        Args:
            function: function of a module without TensorFlow, which the process imports.
            arguments: tuple; arguments and result are pickled.
            memory_bytes: int, the most memory that the call may add to the process. Holds on Linux.
            deadline: float, on the clock of `time.monotonic`, at which the process is killed.

        Returns:
            What the function returns.

        Raises:
            ServingError: if the function raises it; at the deadline (DEADLINE_EXCEEDED); if the memory is not enough
                (RESOURCE_EXHAUSTED); after `close`, or if no process can be started (UNAVAILABLE).
            RuntimeError: if the function fails in any other way; the message has the traceback.
        """
        try:
            worker = self._idle.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            raise too_late() from None
        try:
            if self._closed:
                raise ServingError("UNAVAILABLE", "The server is stopping.")
            return worker.run(function, arguments, memory_bytes, deadline)
        finally:
            if self._closed:
                worker.close()
            self._idle.put(worker)

    def close(self):
        """Ends the idle processes; the busy ones end after their work."""
        self._closed = True  # from here on `run` ends its process
        workers = []
        with contextlib.suppress(queue.Empty):
            while True:
                workers.append(self._idle.get_nowait())
        for worker in workers:
            worker.close()
            self._idle.put(worker)


class _Worker:
    """A process that answers one call at a time over its standard input and output; it may not run yet."""

    def __init__(self):
        self._process = None

    def run(self, function, arguments, memory_bytes, deadline):
        process = self._living()
        timer = threading.Timer(max(0, deadline - time.monotonic()), process.kill)
        try:
            timer.start()
            pickle.dump((function, arguments, memory_bytes), process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            kind, result, stays = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):  # killed by the timer, or for its memory
            raise self._death(deadline) from None
        except BaseException:  # the next caller must not get the rest in the pipes
            self.close()
            raise
        finally:
            timer.cancel()
        if not stays or time.monotonic() >= deadline:  # the timer may have killed it by now
            self.close()
        if kind == "error":
            raise ServingError(*result)
        if kind == "failure":
            raise RuntimeError(result)
        return result

    def _living(self):
        """The process, or a new one if it has died since the last call, for example when memory ran out."""
        if self._process and self._process.poll() is not None:
            self.close()
        if not self._process:
            try:
                self._process = _start()
            except OSError as error:  # too many files or processes, too little memory
                text = f"No process can be started for large documents: {error.strerror}. Try again later."
                raise ServingError("UNAVAILABLE", text) from error
        return self._process

    def _death(self, deadline):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_SECONDS)  # its exit code says why it ended
        code = self.close()
        if time.monotonic() >= deadline:
            return too_late()
        return _too_much() if code < 0 else RuntimeError(f"A process for documents ended with exit code {code}")

    def close(self):
        """Ends the process and returns its exit code, which is negative for a signal."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.communicate()
            return process.returncode


def _start():
    # The server's path, without the current folder: a module there must not take the place of Python's.
    path = os.pathsep.join(place or os.getcwd() for place in sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        start_new_session=True,  # Ctrl-C goes to the server, which finishes the requests that it has accepted
    )


def _too_much():
    return ServingError("RESOURCE_EXHAUSTED", "The request takes more memory than one may. Send it in smaller parts.")


# ---- within the process ----


def main():
    """Answers calls until the server closes the pipe, or ends."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a supervisor may send it to all of the server's processes
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # when memory runs out, the system ends this process before the server
    if sys.stderr is None:  # the server has none; libraries write to its number, which replies must not get
        sys.stderr = open(os.devnull, "w")
    calls, replies = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # printed text must not mix with replies
    process, stays = psutil.Process(), True
    while stays:
        try:
            function, arguments, memory_bytes = pickle.load(calls)
        except EOFError:
            return
        with _memory_limit(process, memory_bytes):
            kind, result = _outcome(function, arguments)
        del arguments
        gc.collect()
        stays = process.memory_info().rss < _KEPT_BYTES
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((kind, result, stays), replies, pickle.HIGHEST_PROTOCOL)
            replies.flush()
        del result


def _outcome(function, arguments):
    try:
        return "result", function(*arguments)
    except ServingError as error:
        return "error", (error.code, error.message, error.http_status)
    except MemoryError:
        error = _too_much()
        return "error", (error.code, error.message, error.http_status)
    except Exception:
        return "failure", traceback.format_exc()


@contextlib.contextmanager
def _memory_limit(process, memory_bytes):
    if not hasattr(process, "rlimit"):  # on Linux and FreeBSD
        yield
        return
    before = process.rlimit(psutil.RLIMIT_AS)
    others = [limit for limit in before if limit != psutil.RLIM_INFINITY]  # of an operator, as by ulimit -v
    process.rlimit(psutil.RLIMIT_AS, (min(process.memory_info().vms + memory_bytes, *others, 2**62), before[1]))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_AS, before)
