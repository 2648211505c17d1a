"""The models that are served: versions are found, loaded, swapped, and closed after their last request."""

import contextlib
import dataclasses
import logging
import os
import re
import threading

from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.serving.errors import ServingError, invalid
from tf_cyclegan.serving.memory import bytes_a_pixel
from tf_cyclegan.serving.models_folder import checked_folder, file_marks, versions
from tf_cyclegan.settings.checks import check_positive

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_KEPT = 20  # versions of a model that are gone and stay in its status


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """The model that a request names, and the version or label unless it asks for the newest version."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclasses.dataclass(eq=False)
class _Version:
    """A version. It goes from LOADING to AVAILABLE, UNLOADING and END, or from LOADING to END with an error."""

    name: str
    number: int
    state: str = "LOADING"
    error: ServingError | None = None
    engine: Engine | None = None
    users: int = 0
    bytes_a_pixel: dict = dataclasses.field(default_factory=dict)  # memory, by signature
    marks: tuple = ()  # sizes and times of the files; a version that failed is tried again when they change


class Repository:
    """Serves the newest version of each model in a folder, and each version with a label.

    A folder `NAME/VERSION` with a SavedModel is a version of a model. If a version does not load, the version before
    it stays. A version is loaded once its files rest: somebody may still be copying them.

    Args:
        directory: folder of the models.
        labels: optional dict, model name to a dict of label to version. Defaults to none.
        poll_seconds: float, from one look at the folder to the next. Defaults to 1.
        report: callable, gets a line for each version that is loaded, unloaded or fails. Defaults to the log.

    Raises:
        ValueError: if the folder does not exist, or is itself a model or a version of one.
        OSError: if the folder cannot be read.

    Example:
        >>> repository = Repository("exported")  # doctest: +SKIP
        >>> repository.scan()  # doctest: +SKIP
        >>> with repository.use(ModelSpec("horse2zebra_ab")) as servable:  # doctest: +SKIP
        ...     servable.engine.run("uint8", {"image": images})
    """

    def __init__(self, directory, labels=None, poll_seconds=1.0, report=_log.info):
        self._directory = checked_folder(directory)
        check_positive("poll_seconds", poll_seconds)
        self._labels = labels or {}
        self._poll_seconds = poll_seconds
        self._report = report
        self._models = {}
        self._seen = {}
        self._warned = {}
        self._skipped = set()
        self._scanned = False
        self._lock = threading.Lock()  # of the versions' states; never held while a model loads, runs or closes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="repository", daemon=True)

    # ---- for requests ----

    @contextlib.contextmanager
    def use(self, spec):
        """Holds a version; it stays open until the context ends.

        Args:
            spec: `ModelSpec`.

        Returns:
            Context manager of an object with `name`, `number`, `engine` and `bytes_a_pixel`, a dict by signature.

        Raises:
            ServingError: if there is no such model, version or label.
        """
        with self._lock:
            version = self._find(spec)
            version.users += 1
        try:
            yield version
        finally:
            with self._lock:
                version.users -= 1
            self._close_if_idle(version)

    def signatures(self, spec):
        """Returns the signatures of a version.

        Args:
            spec: `ModelSpec`.

        Returns:
            dict, name to `Signature`; empty if there is no such model, version or label.
        """
        with contextlib.suppress(ServingError), self._lock:
            return self._find(spec).engine.signatures
        return {}

    def status(self, spec):
        """Returns the states of a model's versions, the newest first.

        Args:
            spec: `ModelSpec`.

        Returns:
            list of `(version, state, error)`; error is a `ServingError` or None.

        Raises:
            ServingError: if there is no such model, version or label.
        """
        number = self._number(spec)
        with self._lock:
            model = sorted(self._models.get(spec.name, {}).values(), key=lambda version: -version.number)
            found = [(v.number, v.state, v.error) for v in model if number in (None, v.number)]
        if not found:
            which = "any versions" if number is None else f"version {number}"
            raise ServingError("NOT_FOUND", f"Could not find {which} of model {spec.name}")
        return found

    def newest(self):
        """Returns the newest available version of every model.

        Returns:
            list of the objects that `use` gives, in the order of the models' names.
        """
        with self._lock:
            return [
                max(found, key=lambda v: v.number) for name in sorted(self._models) if (found := self._served(name))
            ]

    def knows(self, name):
        """Whether a model of this name is, or was, in the folder."""
        return name in self._models

    @property
    def ready(self):
        """Whether the folder has been scanned and a model is served."""
        return self._scanned and bool(self.newest())

    def _find(self, spec):
        number = self._number(spec)
        found = {version.number: version for version in self._served(spec.name)}
        if number is None and found:
            return found[max(found)]
        if number not in found:
            which = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
            raise ServingError("NOT_FOUND", f"Servable not found for request: {which}")
        return found[number]

    def _number(self, spec):
        if spec.label is None:
            return spec.version
        number = self._labels.get(spec.name, {}).get(spec.label)
        if number is None:
            raise invalid(f"Unrecognized servable version label: {spec.label}")
        return number

    def _served(self, name):
        return [version for version in self._models.get(name, {}).values() if version.state == "AVAILABLE"]

    # ---- the folder ----

    def start(self):
        """Begins to look for changes, in a thread."""
        self._thread.start()

    def close(self):
        """Ends the thread, and unloads every model after its last request."""
        self._report = _log.info
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for name in list(self._models):
            self._retire(name, keep=())

    def scan(self):
        """Looks at the folder once: loads new versions, and retires versions that are superseded or gone."""
        entries = {entry.name: entry for entry in self._directory.iterdir()}
        self._skip({name: path for name, path in entries.items() if not _NAME.fullmatch(name)})
        for name in sorted({*filter(_NAME.fullmatch, entries), *self._models}):
            try:
                self._update(name, versions(entries[name]) if name in entries else {})
            except OSError as error:  # its loaded versions stay
                self._warn(name, error)
            else:
                self._warned.pop(name, None)
        self._seen = {path: marks for path, marks in self._seen.items() if os.path.lexists(path)}
        self._scanned = True

    def _skip(self, others):
        """Reports once that a model is not served because no request can have its name."""
        for name, path in sorted(others.items()):
            with contextlib.suppress(OSError):
                if name not in self._skipped and versions(path):
                    self._skipped.add(name)
                    self._say(f"Skipped {ascii(name)}: names of models are of A-Z, a-z, 0-9, _, . and -; rename it.")
        self._skipped &= set(others)

    def _say(self, line):
        """Reports a line; a report that fails, as into a closed pipe, must not end the service."""
        try:
            self._report(line)
        except Exception as error:
            _log.warning("%s (Cannot be reported: %s)", line, error)

    def _poll(self):
        while not self._stop.wait(self._poll_seconds):
            try:
                self.scan()
            except OSError as error:  # a disk that fails for a moment must not end the thread
                self._warn(str(self._directory), error)
            except Exception:
                _log.exception("Cannot look for models in %s", self._directory)

    def _warn(self, place, error):
        """Logs an error once, not at every look."""
        if self._warned.get(place) != str(error):
            self._warned[place] = str(error)
            _log.warning("Cannot look for models in %s: %s", place, error)

    def _update(self, name, paths):
        if not paths and name not in self._models:
            return
        newest = next(
            (number for number in sorted(paths, reverse=True) if self._has(name, number, paths[number])), None
        )
        labeled = [n for n in set(self._labels.get(name, {}).values()) if n in paths and self._has(name, n, paths[n])]
        self._retire(name, keep={newest, *labeled})
        self._forget(name, paths)

    def _has(self, name, number, path):
        """Whether a version is available; loads it first if it is new, or if its files have changed."""
        version = self._models.get(name, {}).get(number)
        if version and version.state == "AVAILABLE":
            return True
        marks = file_marks(path)
        if version and version.error and version.marks == marks:
            return False
        resting = self._seen.get(path) == marks
        self._seen[path] = marks
        return (resting or not self._scanned) and self._load(name, number, path, marks)

    def _load(self, name, number, path, marks):
        version = _Version(name, number, marks=marks)
        with self._lock:
            self._models.setdefault(name, {})[number] = version
        try:
            engine, version.bytes_a_pixel = self._opened(path)
        except Exception as error:  # a damaged model fails in any of TensorFlow's ways
            with self._lock:
                version.state, version.error = "END", _failure(error, self._directory)
            self._say(f"Cannot serve {name} version {number}: {version.error.message}")
            return False
        with self._lock:
            version.state, version.engine = "AVAILABLE", engine
        if self._scanned:  # the caller reports the models of the start in one line
            self._say(f"Serving {name} version {number}.")
        return True

    def _opened(self, path):
        if not path.resolve().is_relative_to(self._directory):
            raise ValueError("It links to a place outside the served folder")
        engine = Engine(path)
        try:
            engine.replay_warmup()
            return engine, bytes_a_pixel(engine)
        except BaseException:
            engine.close()
            raise

    def _retire(self, name, keep):
        for version in self._served(name):
            if version.number not in keep:
                with self._lock:
                    version.state = "UNLOADING"
                self._close_if_idle(version)

    def _close_if_idle(self, version):
        with self._lock:
            if version.state != "UNLOADING" or version.users:
                return
            version.state, engine, version.engine = "END", version.engine, None
        engine.close()
        self._say(f"Unloaded {version.name} version {version.number}.")

    def _forget(self, name, paths):
        """Drops the oldest versions that have ended and are gone, so that a server that runs for long does not grow."""
        model = self._models.get(name, {})
        ended = sorted(number for number, version in model.items() if version.state == "END" and number not in paths)
        with self._lock:
            for number in ended[:-_KEPT]:
                del model[number]


def _failure(error, directory):
    """The error in the status of a version that did not load, without paths of the server's disk."""
    code = error.code if isinstance(error, ServingError) else "UNKNOWN"
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    return ServingError(code, " ".join(message.replace(f"{directory}{os.sep}", "").split()))
