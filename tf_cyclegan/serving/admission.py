"""The queue of requests: a few are computed, some wait, and the server refuses the others at once."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tf_cyclegan.serving.errors import Disconnected, ServingError


class Admission:
    """Runs work in threads, in the order of arrival, each piece until its deadline.

    Large requests have threads and a queue of their own. It takes seconds to read them, and small requests must not
    wait for them.

    Args:
        limits: `Limits`.
        max_large: int, large requests at the same time.
    """

    def __init__(self, limits, max_large):
        self._timeout = limits.timeout_seconds
        self._usual = _Lane(limits.max_running, limits.max_queued)
        self._large = _Lane(max_large, limits.max_queued)

    @property
    def running(self):
        """Requests that have a thread now."""
        return self._usual.running + self._large.running

    @property
    def queued(self):
        """Requests that wait for a thread."""
        return self._usual.queued + self._large.queued

    async def run(self, work, disconnected, large=False, deadline=None):
        """Does a piece of work.

        Args:
            work: callable that gets the deadline, on the clock of `time.monotonic`; runs in a thread.
            disconnected: coroutine function that ends when the client is gone: work that still waits is then dropped.
            large: bool, whether the request is a large one. Defaults to False.
            deadline: optional float, of a request whose first piece of work is done. Defaults to the usual time from
                now.

        Returns:
            What `work` returns.

        Raises:
            ServingError: if too many wait (UNAVAILABLE), at the deadline (DEADLINE_EXCEEDED), or from `work`.
            Disconnected: if the client left.
        """
        lane = self._large if large else self._usual
        deadline = deadline or time.monotonic() + self._timeout
        result = asyncio.wrap_future(lane.submit(self._in_time, work, deadline))
        gone = asyncio.ensure_future(disconnected())
        try:
            await asyncio.wait(
                {result, gone}, timeout=max(0, deadline - time.monotonic()), return_when=asyncio.FIRST_COMPLETED
            )
            if result.done():
                return result.result()
            if gone.done():
                raise Disconnected
            raise self._too_late()
        finally:
            # Work that a thread has begun goes on until TensorFlow notices the deadline. It keeps its thread.
            result.cancel()
            gone.cancel()
            del result  # its exception refers to this frame: a cycle that only the garbage collector would free

    def close(self):
        """Drops the work that waits."""
        self._usual.close()
        self._large.close()

    def _in_time(self, work, deadline):
        if time.monotonic() >= deadline:
            raise self._too_late()
        return work(deadline)

    def _too_late(self):
        return ServingError("DEADLINE_EXCEEDED", f"No answer within {self._timeout:g} seconds")


class _Lane:
    """Threads, and a queue in front of them."""

    def __init__(self, max_running, max_queued):
        self._max_running, self._places = max_running, max_running + max_queued
        self._executor = ThreadPoolExecutor(max_running, thread_name_prefix="serving")
        self._lock = threading.Lock()
        self._admitted = 0

    @property
    def running(self):
        return min(self._admitted, self._max_running)

    @property
    def queued(self):
        return self._admitted - self.running

    def submit(self, function, *arguments):
        with self._lock:
            if self._admitted >= self._places:
                raise ServingError("UNAVAILABLE", "Too many requests are waiting. Try again later.")
            self._admitted += 1
        try:
            future = self._executor.submit(function, *arguments)
        except RuntimeError as error:  # the executor is closed, or the system has no more threads
            self._leave(None)
            raise ServingError("UNAVAILABLE", f"No thread can be had: {error}. Try again later.") from error
        future.add_done_callback(self._leave)
        return future

    def close(self):
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _):
        with self._lock:
            self._admitted -= 1
