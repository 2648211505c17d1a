"""Decoded and resized images of one domain: in memory, in a memory-mapped file, or decoded each time."""

import concurrent.futures
import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tf_cyclegan.data import cache_folder
from tf_cyclegan.data.domains import Images
from tf_cyclegan.data.transforms import Sizing
from tf_cyclegan.data.value_ranges import Use, joined_use
from tf_cyclegan.settings.user_errors import is_ours

CACHES = ("memory", "disk", "none")
_HINT = ". Remove the file, or leave it out with `skip_unreadable`"
# Other files that are tried, to find out whether an error concerns one file alone.
_OTHERS = 3
# The most pixels that are decoded at the same time: PIL takes 7 bytes for each.
PIXELS_AT_ONCE = 2**28


class DecodedImages:
    """The images of a domain, decoded, in the size they have before the crop.

    Sizes and types come from the headers of the files at once; `load_together` decodes the images.

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
        self.pages = _parallel(images.pages, range(len(images)))
        headers = _parallel(lambda index: self._attempt(images.header, index), range(len(images)))
        self.usable = [i for i, header in enumerate(headers) if header is not None]
        self.sizes = {i: headers[i][:2] for i in self.usable}
        self.targets = {i: sizing.target(self.sizes[i], images.names[i]) for i in self.usable}
        # One type for the whole domain: a single deep image makes all of them float32.
        self.dtype = np.dtype("float32" if any(headers[i][2] == "float32" for i in self.usable) else "uint8")
        lengths = [np.prod(self.targets.get(i, (0, 0))) * images.channels for i in range(len(images))]
        self._offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self._flat = None
        self._loaded = False
        self._use = None

    def __len__(self) -> int:
        return len(self.usable)

    @property
    def nbytes(self) -> int:
        """The bytes that all decoded images take."""
        return int(self._offsets[-1]) * self.dtype.itemsize

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """`(name, reason)` of the files left out."""
        return [(self.images.names[index], reason) for index, reason in sorted(self._unreadable.items())]

    @property
    def use(self) -> Use | None:
        """The `Use` of their range by the images that were read; `None` before."""
        return self._use or joined_use(list(self.images.uses.values()))

    @property
    def type_range(self) -> tuple[float, float] | None:
        """The range of the integers in files of 16 bits or more, if no `value_range` was given; else `None`."""
        use = self.use if self.images.value_range is None else None
        return (use.low, use.high) if use and use.high - use.low > 255 else None

    def name(self, index: int) -> str:
        """The name of an image."""
        return self.images.names[self.usable[index]]

    def digests(self) -> list[str]:
        """For each image a digest of its name and contents."""
        return _parallel(self.images.digest, self.usable)

    def is_filled(self) -> bool:
        """Whether all images are decoded; takes over the files of an earlier run."""
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
        """Decodes an image, also without a cache: a broken image is found now, not after hours of training."""
        if index in self.targets:
            image = self._decode(index, inspect=True)
            if flat is not None:
                flat[self._offsets[index] : self._offsets[index + 1]] = image.ravel()

    def _storage(self):
        """The context in which images are decoded, and which keeps them at its end."""
        return {"memory": self._memory, "disk": self._disk, "none": contextlib.nullcontext}[self.cache]()

    @contextlib.contextmanager
    def _memory(self):
        try:
            flat = np.empty(self._offsets[-1], self.dtype)
        except MemoryError as error:
            raise ValueError(
                f"`cache`='memory' needs {self.nbytes / 1e9:.1f} GB for {len(self)} images, more than memory has. Use "
                "`cache`='disk' or 'none'"
            ) from error
        yield flat
        self._flat = flat

    @contextlib.contextmanager
    def _disk(self):
        """Writes aside and renames, the description last: a killed run leaves nothing that would be reused."""
        path = self._path()
        whole = path.with_suffix(".bin")
        with contextlib.ExitStack() as stack:
            with self._named_in_errors():
                self.folder.mkdir(parents=True, exist_ok=True)
                cache_folder.clean(self.folder)
                aside = stack.enter_context(cache_folder.writing(path))
                cache_folder.reserve(aside, self.nbytes)
                flat = np.memmap(aside, self.dtype, "r+", shape=(int(self._offsets[-1]),))
            yield flat
            with self._named_in_errors():
                flat.flush()
                os.replace(aside, whole)
                try:
                    aside.write_text(json.dumps({"unreadable": self._unreadable, "use": self.use}))
                    os.replace(aside, path.with_suffix(".json"))
                except BaseException:
                    whole.unlink(missing_ok=True)
                    raise
        self._flat = np.memmap(whole, self.dtype, "r")

    @contextlib.contextmanager
    def _named_in_errors(self):
        try:
            yield
        except OSError as error:
            raise OSError(
                error.errno or errno.EIO,
                f"Cannot keep decoded images, {self.nbytes:,} bytes, in the folder {self.folder} of `cache`='disk': "
                f"{error.strerror or error}. Free some space, take another `cache_dir` (the environment variable "
                "XDG_CACHE_HOME), or use `cache`='memory' or 'none'",
            ) from error

    def _path(self):
        targets = [self.targets.get(i) for i in range(len(self.images))]
        settings = json.dumps([self.images.fingerprint(), targets, str(self.dtype)])
        return self.folder / hashlib.sha256(settings.encode()).hexdigest()[:32]

    def _reuse(self, path):
        """Whether the files of an earlier run are there and whole."""
        try:
            found = json.loads(path.with_suffix(".json").read_text())
            unreadable, use = found["unreadable"], found.get("use")  # which earlier versions did not write
            whole = os.path.getsize(path.with_suffix(".bin")) == self.nbytes
        except (OSError, ValueError, KeyError):
            return False
        if not whole or (unreadable and not self.skip_unreadable):
            return False
        self._use = use and Use(*use)
        self._unreadable.update({int(index): reason for index, reason in unreadable.items()})
        self.usable = [index for index in self.usable if index not in self._unreadable]
        self._flat = np.memmap(path.with_suffix(".bin"), self.dtype, "r")
        cache_folder.mark_used(path)
        return True

    def _attempt(self, function, index):
        """`function` of an index; None for an image that is skipped."""
        try:
            return function(index)
        except ValueError as error:
            if not is_ours(error):
                raise
            if not self.skip_unreadable:
                hint = "" if self._shared(function, index, error) else _HINT
                raise ValueError(f"{error}{hint}") from error
            self._unreadable[index] = str(error)
            return None

    def _shared(self, function, index, error):
        """Whether other files fail with the same words: the error then does not concern one file alone."""
        names, others = self.images.names, [i for i in range(len(self.images)) if i != index]
        said = _without_place(error, names[index])
        return all(_fault(function, i, names[i]) == said for i in others[:_OTHERS])


def _fault(function, index, name):
    """The words of the error that `function` raises for an image; None where it raises none."""
    try:
        function(index)
    except ValueError as error:
        return _without_place(error, name)


def _without_place(error, name):
    """An error's words without the file's name and size."""
    return re.sub(r"\d+", "", str(error).replace(name, ""))


def load_together(domains: Sequence[DecodedImages]) -> None:
    """Fills the caches of domains, image by image: the halves of a file are then decoded at once.

    Raises:
        ValueError: if a file cannot be read, or the images of a domain are not as expected.
    """
    largest = max((height * width for domain in domains for height, width in domain.sizes.values()), default=1)
    with contextlib.ExitStack() as stack:
        fills = [stack.enter_context(domain.filling()) for domain in domains if not domain.is_filled()]
        if fills:
            indices = range(max(len(domain.images) for domain in domains))
            _parallel(lambda index: [fill(index) for fill in fills], indices, max(1, PIXELS_AT_ONCE // largest))


def _parallel(function, items, most=16):
    """Calls a function for all items in threads: PIL decodes and resizes without the interpreter's lock."""
    with concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 1, 16, most)) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
