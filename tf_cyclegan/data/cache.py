"""Decoded and resized images of one domain: in memory, in a memory-mapped file, or decoded each time."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import uuid
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tf_cyclegan.data.domains import Images
from tf_cyclegan.data.transforms import Sizing

CACHES = ("memory", "disk", "none")


def default_folder() -> pathlib.Path:
    """Where `cache="disk"` keeps its files: `tf_cyclegan` in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or os.path.join("~", ".cache")
    return pathlib.Path(base).expanduser() / "tf_cyclegan"


class DecodedImages:
    """The images of a domain, decoded, in the size they have before the crop.

    What it will hold is known from the headers of the files when it is made; `load_together` decodes.

    Args:
        images: the `Images`.
        sizing: the `Sizing` to resize by.
        cache: `"memory"`, `"disk"` or `"none"`.
        folder: where `"disk"` keeps its files.
        skip_unreadable: whether files that cannot be read are left out and listed in `skipped`, instead of an error.
            Defaults to `False`.
    """

    def __init__(self, images: Images, sizing: Sizing, cache: str, folder: pathlib.Path, skip_unreadable: bool = False):
        self.images, self.cache, self.folder = images, cache, folder
        self.skip_unreadable = skip_unreadable
        self._unreadable: dict[int, str] = {}
        headers = _parallel(lambda index: self._attempt(images.header, index), range(len(images)))
        self.usable = [i for i, header in enumerate(headers) if header is not None]
        self.targets = {i: sizing.target(headers[i][:2], images.names[i]) for i in self.usable}
        # One type for the whole domain: a single deep image makes all of them float32.
        self.dtype = np.dtype("float32" if any(headers[i][2] == "float32" for i in self.usable) else "uint8")
        lengths = [np.prod(self.targets.get(i, (0, 0))) * images.channels for i in range(len(images))]
        self._offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self._flat = None
        self._loaded = False

    def __len__(self) -> int:
        return len(self.usable)

    @property
    def nbytes(self) -> int:
        """What all images take up decoded, in bytes."""
        return int(self._offsets[-1]) * self.dtype.itemsize

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """`(name, reason)` of the files left out."""
        return [(self.images.names[index], reason) for index, reason in sorted(self._unreadable.items())]

    def name(self, index: int) -> str:
        """What an image is called."""
        return self.images.names[self.usable[index]]

    def digests(self) -> list[str]:
        """For each image a digest of its name and contents."""
        return _parallel(self.images.digest, self.usable)

    def is_filled(self) -> bool:
        """Whether nothing needs to be decoded; takes over the files of an earlier run."""
        if not self._loaded and self.cache == "disk" and self._reuse(self._path()):
            self._loaded = True
        return self._loaded

    @contextlib.contextmanager
    def filling(self) -> Iterator[Callable[[int], None]]:
        """Gives a function that decodes the image of an index; at the end the cache counts as filled."""
        with self._storage() as flat:
            yield lambda index: self._attempt(lambda index: self._store(flat, index), index)
            self.usable = [index for index in self.usable if index not in self._unreadable]
            self.images.check_inspected()
        self._loaded = True

    def get(self, index: int) -> np.ndarray:
        """An image before the crop: `(height, width, channels)`, of type `dtype`, in [0, 255]."""
        index = self.usable[index]
        if self._flat is None:
            return self._decode(index)
        flat = self._flat[self._offsets[index] : self._offsets[index + 1]]
        return flat.reshape(*self.targets[index], self.images.channels)

    def read(self, index: int, sizing: Sizing) -> np.ndarray:
        """An image decoded afresh and resized in another way."""
        index = self.usable[index]
        image = self.images.read(index)
        return self.images.resize(image, sizing.target(image.shape[:2], self.images.names[index]))

    def _decode(self, index, inspect=False):
        image = self.images.read(index)
        if inspect:
            self.images.inspect(index, image)
        return self.images.resize(image, self.targets[index]).astype(self.dtype, copy=False)

    def _store(self, flat, index):
        """Decodes an image. Without a cache too: a broken one is found now, not after hours of training."""
        if index in self.targets:
            image = self._decode(index, inspect=True)
            if flat is not None:
                flat[self._offsets[index] : self._offsets[index + 1]] = image.ravel()

    def _storage(self):
        """What holds the images while they are decoded, and keeps them afterwards."""
        return {"memory": self._memory, "disk": self._disk, "none": contextlib.nullcontext}[self.cache]()

    @contextlib.contextmanager
    def _memory(self):
        flat = np.empty(self._offsets[-1], self.dtype)
        yield flat
        self._flat = flat

    @contextlib.contextmanager
    def _disk(self):
        """Writes aside and renames, the description last: a killed run leaves nothing that would be reused."""
        path = self._path()
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{uuid.uuid4().hex}")
        try:
            flat = np.memmap(aside, self.dtype, "w+", shape=(int(self._offsets[-1]),))
            yield flat
            flat.flush()
            os.replace(aside, path.with_suffix(".bin"))
            aside.write_text(json.dumps({"unreadable": self._unreadable}))
            os.replace(aside, path.with_suffix(".json"))
        finally:
            aside.unlink(missing_ok=True)
        self._flat = np.memmap(path.with_suffix(".bin"), self.dtype, "r")

    def _path(self):
        targets = [self.targets.get(i) for i in range(len(self.images))]
        settings = json.dumps([self.images.fingerprint(), targets, str(self.dtype)])
        return self.folder / hashlib.sha256(settings.encode()).hexdigest()[:32]

    def _reuse(self, path):
        """Whether the files of an earlier run are there and whole."""
        try:
            unreadable = json.loads(path.with_suffix(".json").read_text())["unreadable"]
            whole = os.path.getsize(path.with_suffix(".bin")) == self.nbytes
        except (OSError, ValueError, KeyError):
            return False
        if not whole or (unreadable and not self.skip_unreadable):
            return False
        self._unreadable.update({int(index): reason for index, reason in unreadable.items()})
        self.usable = [index for index in self.usable if index not in self._unreadable]
        self._flat = np.memmap(path.with_suffix(".bin"), self.dtype, "r")
        return True

    def _attempt(self, function, index):
        """`function` of an index; None for an image that is skipped."""
        try:
            return function(index)
        except ValueError as error:
            if not self.skip_unreadable:
                raise ValueError(f"{error}. Remove the file, or leave it out with --skip-unreadable.") from error
            self._unreadable[index] = str(error)
            return None


def load_together(domains: Sequence[DecodedImages]) -> None:
    """Fills the caches of domains, image by image: the halves of a file are then decoded at once.

    Raises:
        ValueError: if a file cannot be read, or the images of a domain are not as expected.
    """
    with contextlib.ExitStack() as stack:
        fills = [stack.enter_context(domain.filling()) for domain in domains if not domain.is_filled()]
        if fills:
            _parallel(lambda index: [fill(index) for fill in fills], range(max(len(d.images) for d in domains)))


def _parallel(function, items):
    """The results in order. Threads do, since PIL decodes and resizes without the interpreter's lock."""
    with concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
