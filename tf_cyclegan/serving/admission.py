"""A few requests are computed, some wait, and the rest are told so at once."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tf_cyclegan.serving.body import Disconnected
from tf_cyclegan.serving.errors import ServingError


class Admission:
    """Runs work in threads, in the order of arrival, each piece until its deadline.

    Args:
        limits: `Limits`.
    """

    def __init__(self, limits):
        self._limits = limits
        self._executor = ThreadPoolExecutor(limits.max_running, thread_name_prefix="serving")
        self._lock = threading.Lock()
        self._admitted = 0

    @property
    def running(self):
        """Requests that are computed now."""
        return min(self._admitted, self._limits.max_running)

    @property
    def queued(self):
        """Requests that wait."""
        return self._admitted - self.running

    async def run(self, work, disconnected):
        """Does a piece of work.

        Args:
            work: callable that gets the deadline, on the clock of `time.monotonic`; runs in a thread.
            disconnected: coroutine function that ends when the client is gone: then what still waits is dropped.

        Returns:
            What `work` returns.

        Raises:
            ServingError: if too many wait (UNAVAILABLE), at the deadline (DEADLINE_EXCEEDED), or from `work`.
            Disconnected: if the client left.
        """
        deadline = time.monotonic() + self._limits.timeout_seconds
        result = asyncio.wrap_future(self._submit(work, deadline))
        gone = asyncio.ensure_future(disconnected())
        try:
            await asyncio.wait(
                {result, gone}, timeout=self._limits.timeout_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if result.done():
                return result.result()
            if gone.done():
                raise Disconnected
            raise self._too_late()
        finally:
            # What a thread has begun goes on, until TensorFlow notices the deadline; its place is free only then.
            result.cancel()
            gone.cancel()
            del result  # its exception has this frame in its traceback: a circle, which only the collector would end

    def close(self):
        """Drops what waits."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work, deadline):
        with self._lock:
            if self._admitted >= self._limits.max_running + self._limits.max_queued:
                raise ServingError("UNAVAILABLE", "Too many requests are waiting. Try again later.")
            self._admitted += 1
        future = self._executor.submit(self._in_time, work, deadline)
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _):
        with self._lock:
            self._admitted -= 1

    def _in_time(self, work, deadline):
        if time.monotonic() >= deadline:
            raise self._too_late()
        return work(deadline)

    def _too_late(self):
        return ServingError("DEADLINE_EXCEEDED", f"No answer within {self._limits.timeout_seconds:g} seconds")
