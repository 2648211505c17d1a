"""Work that goes on beside training."""

import threading


class Background:
    """Does one piece of work at a time in a thread; what went wrong there is raised where it is waited for.

    The program does not end before the work has: its thread is no daemon.
    """

    def __init__(self):
        self._thread = None
        self._error = None

    def start(self, work):
        """Begins a piece of work, after the one before.

        Args:
            work: callable without arguments.

        Raises:
            Exception: that of the work before.
        """
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), name="checkpoint")
        self._thread.start()

    @property
    def is_done(self):
        """Whether there is work that has come to its end and was not waited for."""
        return self._thread is not None and not self._thread.is_alive()

    def wait(self):
        """Waits for the end of the work, if there is any.

        Raises:
            Exception: that of the work, once.
        """
        if self._thread is None:
            return
        self._thread.join()
        error, self._thread, self._error = self._error, None, None
        if error is not None:
            raise error

    def _run(self, work):
        try:
            work()
        except BaseException as error:
            self._error = error
