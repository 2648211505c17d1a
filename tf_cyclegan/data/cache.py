"""Decoded and resized images of one domain: in memory, in a memory-mapped file, or decoded each time."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import uuid

import numpy as np

from tf_cyclegan.data.sources import Images
from tf_cyclegan.data.transforms import Sizing
from tf_cyclegan.images import resize

CACHES = ("memory", "disk", "none")


def default_folder() -> pathlib.Path:
    """Where `cache="disk"` keeps its files: `tf_cyclegan` in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or os.path.join("~", ".cache")
    return pathlib.Path(base).expanduser() / "tf_cyclegan"


class DecodedImages:
    """The images of a domain, decoded, in the size they have before the crop.

    What it will hold is known from the headers of the files when it is made; `load()` decodes.

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
        headers = self._attempt_all(images.header, range(len(images)))
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

    def load(self) -> None:
        """Fills the cache; a second call does nothing."""
        if self._loaded:
            return
        if self.cache == "none":
            self._check_all()
        elif self.cache == "disk":
            self._load_disk()
        else:
            self._flat = self._fill(np.empty(self._offsets[-1], self.dtype))
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
        return resize(image, sizing.target(image.shape[:2], self.images.names[index]))

    def _decode(self, index):
        return resize(self.images.read(index), self.targets[index]).astype(self.dtype, copy=False)

    def _check_all(self):
        """Decodes each image once: a broken one is found now, not after hours of training."""

        def check(index):
            self._decode(index)
            return index

        self.usable = [index for index in self._attempt_all(check, self.usable) if index is not None]

    def _fill(self, flat):
        def fill(index):
            flat[self._offsets[index] : self._offsets[index + 1]] = self._decode(index).ravel()
            return index

        self.usable = [index for index in self._attempt_all(fill, self.usable) if index is not None]
        return flat

    def _load_disk(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        targets = [self.targets.get(i) for i in range(len(self.images))]
        settings = json.dumps([self.images.fingerprint(), targets, str(self.dtype)])
        path = self.folder / hashlib.sha256(settings.encode()).hexdigest()[:32]
        if not self._reuse(path):
            self._write(path)
        self._flat = np.memmap(path.with_suffix(".bin"), self.dtype, "r")

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
        return True

    def _write(self, path):
        """Writes aside and renames, the description last: a killed run leaves nothing that would be reused."""
        aside = path.with_suffix(f".{uuid.uuid4().hex}")
        try:
            flat = np.memmap(aside, self.dtype, "w+", shape=(int(self._offsets[-1]),))
            self._fill(flat).flush()
            os.replace(aside, path.with_suffix(".bin"))
            aside.write_text(json.dumps({"unreadable": self._unreadable}))
            os.replace(aside, path.with_suffix(".json"))
        finally:
            aside.unlink(missing_ok=True)

    def _attempt_all(self, function, indices):
        """`function` of every index, in a few threads; None for an image that is skipped."""

        def attempt(index):
            try:
                return function(index)
            except ValueError as error:
                if not self.skip_unreadable:
                    raise ValueError(f"{error}. Remove the file, or leave it out with --skip-unreadable.") from error
                self._unreadable[index] = str(error)
                return None

        return _parallel(attempt, indices)


def _parallel(function, items):
    """The results in order. Threads do, since PIL decodes and resizes without the interpreter's lock."""
    with concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
