"""Batches of two domains. Every order, crop and flip is a function of the seed, the epoch and the place in it."""

import hashlib
import itertools
import json
import os
import pathlib

import numpy as np
import tensorflow as tf

from tf_cyclegan.data import images
from tf_cyclegan.data.cache import DecodedImages, default_folder, load_together
from tf_cyclegan.data.sources import Source
from tf_cyclegan.data.transforms import Sizing, center_crop, crop_and_flip
from tf_cyclegan.data.value_ranges import notes_on

# How many times an image may be enlarged before it is said.
ENLARGED = 4


class TranslationDataset:
    """Two domains of images, and how batches are made from them. Made by `open_dataset`.

    Training: an epoch is as long as the larger domain; both domains are shuffled anew in each epoch, the smaller one
    again for each pass through it; images are cropped and flipped at random and a last incomplete batch is dropped.
    Paired domains share order, crop and flip. Test: in the order of the files, without augmentation, `A[i % len(A)]`
    with `B[i % len(B)]`; a last smaller batch is kept.

    Args:
        source: the `Source` of the images.
        sizing: the `Sizing` of the images in batches.
        test_sizing: the `Sizing` of `samples()`.
        split: `"train"` or `"test"`.
        batch_size: images of each domain in a batch.
        seed: of order, crop and flip. Defaults to 0.
        flip: whether training images are flipped at random. Defaults to `True`.
        cache: `"memory"`, `"disk"` or `"none"`. Defaults to `"memory"`.
        cache_dir: folder for `"disk"`. Defaults to `tf_cyclegan` in the user's cache directory.
        skip_unreadable: whether to leave out files that cannot be read. Defaults to `False`.
        start_epoch: number of the first epoch that `epoch()` gives. Defaults to 0.

    Raises:
        ValueError: if the images do not make a batch.
    """

    def __init__(
        self,
        source: Source,
        sizing: Sizing,
        test_sizing: Sizing,
        split: str,
        batch_size: int,
        seed: int = 0,
        flip: bool = True,
        cache: str = "memory",
        cache_dir: str | os.PathLike | None = None,
        skip_unreadable: bool = False,
        start_epoch: int = 0,
    ):
        self.name, self.split, self.batch_size, self.seed = source.name, split, batch_size, seed
        self.paired, self._drawings = source.paired, source.native_size is not None
        self.notes, self.start_epoch = source.notes, start_epoch
        self._training, self._flip, self._cache = split == "train", flip, cache
        self._sizing, self._test_sizing = sizing, test_sizing
        folder = pathlib.Path(cache_dir).expanduser() if cache_dir else default_folder()
        self._domains = [
            DecodedImages(domain, sizing, cache, folder, skip_unreadable)
            for domain in (source.images_a, source.images_b)
        ]
        self._check()
        self.notes += self._taken_in_part()

    @property
    def image_size(self) -> tuple[int | None, int | None]:
        """`(height, width)` of the images in batches, in pixels; `None`s where they differ."""
        sizes = {self._sizing.output(domain.targets[i]) for domain in self._domains for i in domain.usable}
        return sizes.pop() if len(sizes) == 1 else (None, None)

    @property
    def channels(self) -> tuple[int, int]:
        """The channels of A and B."""
        return tuple(domain.images.channels for domain in self._domains)

    @property
    def counts(self) -> tuple[int, int]:
        """The number of images in A and B."""
        return len(self._domains[0]), len(self._domains[1])

    @property
    def side_by_side(self) -> tuple[float, float] | None:
        """The least and the largest width of a whole file by its height, where files hold A and B; else `None`."""
        domain = self._domains[0]
        if not domain.images.halved:
            return None
        ratios = [2 * width / height for height, width in domain.sizes.values()]
        return min(ratios), max(ratios)

    @property
    def type_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        """By which ranges A and B were read where none was given: those of their integers; complete after `load()`."""
        return tuple(domain.type_range for domain in self._domains)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(max(self.counts), self.batch_size)
        return whole if self._training else whole + bool(rest)

    @property
    def cache_bytes(self) -> int:
        """What the cache takes, of memory or disk, in bytes. Known before anything is decoded."""
        return 0 if self._cache == "none" else sum(domain.nbytes for domain in self._domains)

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """`(file, reason)` of the files left out; complete after `load()`."""
        return [entry for domain in self._domains for entry in domain.skipped]

    def describe(self) -> str:
        """The data set in a line, for people."""
        count_a, count_b = self.counts
        height, width = self.image_size
        size = "of differing sizes" if height is None else f"of {height}x{width} pixels"
        load_size = self._sizing.load_size
        if self._training and self._sizing.mode == "resize_and_crop" and load_size != self._sizing.image_size:
            size += f" (cropped from {load_size[0]}x{load_size[1]})"
        what = "paired" if self.paired else "unpaired"
        place = {"memory": "of memory", "disk": "of disk"}.get(self._cache)
        cache = f"{self.cache_bytes / 1e6:.0f} MB {place}" if place else "none, decoded each time"
        text = f"{self.name} ({self.split}): {count_a} images in A, {count_b} in B, {what}, {size}, "
        text += f"{self.steps_per_epoch} steps of {self.batch_size} an epoch, cache: {cache}"
        text += f", {len(self.skipped)} unreadable files left out" if self.skipped else ""
        return "; ".join([text, *self.notes, *self._enlarged()])

    def _taken_in_part(self):
        """A note on files of several pages, of which the first is an image here."""
        pages = {domain.images.names[i]: n for domain in self._domains for i, n in enumerate(domain.pages) if n > 1}
        if not pages:
            return ()
        name, number = next(iter(pages.items()))
        files = "files have" if len(pages) != 1 else "file has"
        return (f"{len(pages):,} {files} several pages, of which the first is taken: page 1 of {number} of {name}",)

    def _enlarged(self):
        """A note on images that are little more than a color where they are trained on."""
        factors = [
            (target / side, domain.images.names[i], size)
            for domain in self._domains
            for i, size in domain.sizes.items()
            for target, side in zip(domain.targets[i], size, strict=True)
            if target > ENLARGED * side
        ]
        if not factors:
            return []
        _, name, (height, width) = max(factors)
        count = len({name for _, name, _ in factors})
        verb = "s are" if count != 1 else " is"
        return [
            f"{count:,} image{verb} enlarged more than {ENLARGED} times, most of all {name} of {height}x{width} pixels"
        ]

    def check_sides(self, least: int) -> None:
        """Raises `ValueError` if an image comes to fewer pixels, in height or width, than `least`."""
        for domain in self._domains:
            sizes = {index: self._sizing.output(domain.targets[index]) for index in domain.usable}
            index = min(sizes, key=lambda index: min(sizes[index]))
            if min(sizes[index]) < least:
                height, width = sizes[index]
                raise ValueError(
                    f"Images must come to sides of at least {least} pixels, or the networks leave nothing of them. "
                    f"Received: {domain.images.names[index]}, which comes to {height}x{width} (height x width) with "
                    f"`resize_mode` {self._sizing.mode}. Leave out small images, or take another `resize_mode`"
                )

    def load(self) -> "TranslationDataset":
        """Fills the cache; a second call does nothing.

        Returns:
            The data set itself.

        Raises:
            ValueError: if a file cannot be read, too few are left, or label maps hold ids that are no classes.
        """
        load_together(self._domains)
        self._check()
        return self

    def range_notes(self, advise: bool = True) -> list[str]:
        """A line for each domain whose images hardly use their range, or are clipped by it; complete after `load()`.

        Args:
            advise: whether another range is a remedy, as it is not where a model was trained with this one. Defaults to
                `True`.
        """
        found = zip("AB", self._domains, ("value_range", "value_range_b"), strict=True)
        notes = [(label, notes_on(domain.use, name if advise else None)) for label, domain, name in found]
        return [f"Domain {label} has {note}." for label, found in notes for note in found]

    def epoch(self) -> tf.data.Dataset:
        """One epoch, another with each iteration: the first is `start_epoch`.

        Returns:
            `tf.data.Dataset` of `(images_a, images_b)`, float32 in [-1, 1], `(batch, height, width, channels)`.
        """
        self.load()
        if not self._training:
            return self._batches(tf.data.Dataset.range(max(self.counts)))
        per_epoch = self.steps_per_epoch * self.batch_size
        epochs = itertools.count(self.start_epoch)

        def numbers(_):
            first = tf.numpy_function(lambda: np.int64(next(epochs) * per_epoch), [], tf.int64)
            return tf.data.Dataset.range(first, first + per_epoch)

        batches = self._batches(tf.data.Dataset.range(1).flat_map(numbers))
        return batches.apply(tf.data.experimental.assert_cardinality(self.steps_per_epoch))

    def stream(self, start_step: int = 0, shard: int = 0, shards: int = 1) -> tf.data.Dataset:
        """All epochs on end, from any step: batch k is batch `start_step + k` of a run from the beginning.

        Args:
            start_step: number of the first batch. Defaults to 0.
            shard: which part of each batch, for workers that train together: the `shard`-th of `shards` equal slices.
                Defaults to 0.
            shards: number of parts; of training data only, it must divide `batch_size`. Defaults to 1, whole batches.

        Returns:
            Infinite `tf.data.Dataset` of `(images_a, images_b)`, as `epoch()`.
        """
        if start_step < 0:
            raise ValueError(f"`start_step` must not be negative. Received: start_step={start_step}")
        if self.batch_size % shards or not 0 <= shard < shards:
            raise ValueError(
                f"`shards` must divide `batch_size` {self.batch_size}, and `shard` be below it. "
                f"Received: shard={shard}, shards={shards}"
            )
        self.load()
        if not self._training:
            return self.epoch().repeat().skip(start_step % self.steps_per_epoch)
        share = self.batch_size // shards
        numbers = tf.data.Dataset.range(start_step * share, tf.int64.max)
        if shards > 1:
            numbers = numbers.map(lambda i: i // share * self.batch_size + shard * share + i % share)
        batches = self._batches(numbers, share)
        return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    def names(self, step: int) -> tuple[list[str], list[str]]:
        """The names of the files in a batch of `stream()`.

        Args:
            step: number of the batch.

        Returns:
            `(names_a, names_b)`.
        """
        self.load()
        with tf.device("CPU:0"):
            numbers = [tf.constant(number, tf.int64) for number in self._numbers(step)]
            return tuple(
                [domain.name(int(self._draw(number, i)[0])) for number in numbers]
                for i, domain in enumerate(self._domains)
            )

    def digest(self) -> str:
        """A digest of what the images are and of their order: the same files in another folder have the same."""
        self.load()
        digests = [domain.digests() for domain in self._domains]
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest()

    def samples(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Images to look at, not augmented: the first ones, for the bundled emoji ones spread over the split.

        Args:
            count: how many of each domain; no more than there are come.

        Returns:
            `(images_a, images_b)`, float32 in [-1, 1], `(count, height, width, channels)`; where sizes differ, the
            middle of each in the size of the smallest.
        """
        self.load()
        total = max(self.counts)
        count = min(count, total)
        places = [i * total // count for i in range(count)] if self._drawings else range(count)
        domains = [[self._sample(domain, place) for place in places] for domain in self._domains]
        size = tuple(min(image.shape[axis] for images_ in domains for image in images_) for axis in (0, 1))
        return tuple(np.stack([center_crop(image, size) for image in images_]) for images_ in domains)

    def _sample(self, domain, place):
        sizing = self._test_sizing
        image = domain.read(place % len(domain), sizing)
        return images.to_float(center_crop(image, sizing.output(image.shape[:2])))

    def _numbers(self, step):
        """The numbers, counted through all epochs, of the images in a batch."""
        if self._training:
            return range(step * self.batch_size, (step + 1) * self.batch_size)
        first = step % self.steps_per_epoch * self.batch_size
        return range(first, min(first + self.batch_size, max(self.counts)))

    def _draw(self, number, domain):
        """The `number`-th image of a domain, counted through all epochs.

        Args:
            number: scalar int64 tensor.
            domain: 0 for A, 1 for B.

        Returns:
            `(index, draws)`: which image of the domain (scalar int64), and three numbers in [0, 1) for crop and flip.
        """
        count = self.counts[domain]
        if not self._training:
            return number % count, tf.zeros([3])
        per_epoch = self.steps_per_epoch * self.batch_size
        epoch, place = number // per_epoch, number % per_epoch
        key = tf.constant([self.seed % 2**32, 0 if self.paired else domain], tf.int64)
        key = tf.random.fold_in(key, epoch, alg="philox")
        # The smaller domain has several orders in an epoch. Negative, so that no draw has the seed of an order.
        order = tf.random.fold_in(key, -1 - place // count, alg="philox")
        index = tf.random.experimental.index_shuffle(place % count, order, tf.constant(count - 1, tf.int64))
        return index, tf.random.stateless_uniform([3], tf.random.fold_in(key, place, alg="philox"), alg="philox")

    def _batches(self, numbers, size=None):
        """Turns a data set of image numbers into one of batches, of `size` where that is not `batch_size`."""
        size = size or self.batch_size

        def draw(number):
            return self._draw(number, 0), self._draw(number, 1)

        def fetch(*drawn):
            return self._fetch(*drawn, size=size)

        drawn = numbers.map(draw).batch(size, drop_remainder=self._training)
        fetched = drawn.map(fetch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return fetched.prefetch(tf.data.AUTOTUNE)

    def _fetch(self, drawn_a, drawn_b, size):
        types = [domain.dtype for domain in self._domains]
        batch = tf.numpy_function(self._gather, [*drawn_a, *drawn_b], types)
        shapes = [(size if self._training else None, *self.image_size, count) for count in self.channels]
        return tuple(tf.ensure_shape(tf.cast(x, tf.float32) / 127.5 - 1, s) for x, s in zip(batch, shapes, strict=True))

    def _gather(self, indices_a, draws_a, indices_b, draws_b):
        # A with its B, one after the other: what lies side by side in a file is then decoded once.
        batch = [
            (self._take(0, *drawn_a), self._take(1, *drawn_b))
            for drawn_a, drawn_b in zip(
                zip(indices_a, draws_a, strict=True), zip(indices_b, draws_b, strict=True), strict=True
            )
        ]
        return tuple(np.stack(parts) for parts in zip(*batch, strict=True))

    def _take(self, domain, index, draws):
        image = self._domains[domain].get(int(index))
        size = self._sizing.output(image.shape[:2])
        return crop_and_flip(image, size, draws, self._flip) if self._training else center_crop(image, size)

    def _check(self):
        if self.paired:
            self._keep_pairs()
        for label, domain in zip("AB", self._domains, strict=True):
            if not len(domain):
                raise ValueError(f"No image of domain {label} of {self.name} can be read: {domain.skipped[:3]}")
        if self._training and not self.steps_per_epoch:
            raise ValueError(
                f"`batch_size` must be at most the images of the larger domain, {max(self.counts)}. "
                f"Received: batch_size={self.batch_size}"
            )
        if self.image_size == (None, None) and self.batch_size != 1:
            raise ValueError(
                f"`batch_size` must be 1 with `resize_mode`={self._sizing.mode!r}, which leaves images of differing "
                f"sizes. Received: batch_size={self.batch_size}"
            )

    def _keep_pairs(self):
        """Leaves out the partners of unreadable images as well, and checks that pairs fit together."""
        domain_a, domain_b = self._domains
        both = sorted(set(domain_a.usable) & set(domain_b.usable))
        domain_a.usable, domain_b.usable = both, list(both)
        for i in both:
            if domain_a.targets[i] != domain_b.targets[i]:
                raise ValueError(
                    f"`paired` images must be of one size: {domain_a.images.names[i]} comes to {domain_a.targets[i]}, "
                    f"{domain_b.images.names[i]} to {domain_b.targets[i]} (height, width)."
                )
