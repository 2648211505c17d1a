"""`TranslationDataset`: batches of two domains of images, which can begin at any step."""

import hashlib
import json
import pathlib

import numpy as np
import tensorflow as tf

from tf_cyclegan.data import notes
from tf_cyclegan.data.cache import DecodedImages, load_together
from tf_cyclegan.data.cache_folder import default_folder
from tf_cyclegan.data.images import to_float
from tf_cyclegan.data.order import Order
from tf_cyclegan.data.sources import Source
from tf_cyclegan.data.transforms import Sizing, center_crop, crop_and_flip
from tf_cyclegan.settings.data import TRAINING, DataSettings, View


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
        data: `DataSettings`, with a batch size.
        view: `View`. Defaults to the images to train on.

    Raises:
        ValueError: if the images do not make a batch.
    """

    def __init__(self, source: Source, sizing: Sizing, test_sizing: Sizing, data: DataSettings, view: View = TRAINING):
        self.name, self.split, self.batch_size, self.seed = source.name, view.split, data.batch_size, data.seed
        self.paired, self._drawings = source.paired, source.native_size is not None
        self.notes, self.start_epoch = source.notes, view.start_epoch
        self._training, self._flip, self._cache = view.split == "train", data.flip, data.cache
        self._sizing, self._test_sizing = sizing, test_sizing
        folder = pathlib.Path(view.cache_dir).expanduser() if view.cache_dir else default_folder()
        self._domains = [
            DecodedImages(domain, sizing, data.cache, folder, data.skip_unreadable)
            for domain in (source.images_a, source.images_b)
        ]
        self._check()
        self.notes += notes.pages_notes(self._domains)

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
        """The least and the largest ratio of width to height of files that hold A and B; `None` for other files."""
        domain = self._domains[0]
        if not domain.images.halved:
            return None
        ratios = [2 * width / height for height, width in domain.sizes.values()]
        return min(ratios), max(ratios)

    @property
    def type_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        """The ranges of the integers in A and in B, by which they were read without a `value_range`; see `load()`."""
        return tuple(domain.type_range for domain in self._domains)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return self._order.steps_per_epoch

    @property
    def _order(self):
        """Changes when `load()` leaves out unreadable images."""
        return Order(self.counts, self.batch_size, self.seed, self.paired, self._training)

    @property
    def cache_bytes(self) -> int:
        """The bytes of memory or disk that the cache takes; known before anything is decoded."""
        return 0 if self._cache == "none" else sum(domain.nbytes for domain in self._domains)

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """`(file, reason)` of the files left out; complete after `load()`."""
        return [entry for domain in self._domains for entry in domain.skipped]

    def describe(self) -> str:
        """The data set in a line, for people."""
        count_a, count_b = self.counts
        place = {"memory": "of memory", "disk": "of disk"}.get(self._cache)
        text = f"{self.name} ({self.split}): {count_a} images in A, {count_b} in B, "
        text += f"{'paired' if self.paired else 'unpaired'}, "
        text += f"{notes.sizes_text(self.image_size, self._sizing, self._training)}, "
        text += f"{self.steps_per_epoch} steps of {self.batch_size} an epoch, cache: "
        text += f"{self.cache_bytes / 1e6:.0f} MB {place}" if place else "none, decoded each time"
        text += f", {len(self.skipped)} unreadable files left out" if self.skipped else ""
        return "; ".join([text, *self.notes, *notes.enlarged_notes(self._domains)])

    def check_sides(self, least: int) -> None:
        """Raises `ValueError` if an image comes to fewer pixels, in height or width, than `least`."""
        sizes = [
            (min(size := self._sizing.output(domain.targets[index])), domain.images.names[index], size)
            for domain in self._domains
            for index in domain.usable
        ]
        side, name, (height, width) = min(sizes, key=lambda entry: entry[0])
        if side < least:
            raise ValueError(
                f"Images must come to sides of at least {least} pixels, or the networks leave nothing of them. "
                f"Received: {name}, which comes to {height}x{width} (height x width) with `resize_mode` "
                f"{self._sizing.mode}. Leave out small images, or take another `resize_mode`"
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
        """See `notes.range_notes`; complete after `load()`."""
        return notes.range_notes(self._domains, advise)

    def epoch(self) -> tf.data.Dataset:
        """One epoch, another with each iteration: the first is `start_epoch`.

        Returns:
            `tf.data.Dataset` of `(images_a, images_b)`, float32 in [-1, 1], `(batch, height, width, channels)`.
        """
        self.load()
        batches = self._batches(self._order.epoch(self.start_epoch))
        if not self._training:
            return batches
        return batches.apply(tf.data.experimental.assert_cardinality(self.steps_per_epoch))

    def stream(self, start_step: int = 0, shard: int = 0, shards: int = 1) -> tf.data.Dataset:
        """All epochs, one after the other, from any step on: batch k is batch `start_step + k` of a run from the start.

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
        batches = self._batches(self._order.stream(start_step, shard, shards), self.batch_size // shards)
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
            numbers = [tf.constant(number, tf.int64) for number in self._order.numbers(step)]
            return tuple(
                [domain.name(int(self._order.draw(number, i)[0])) for number in numbers]
                for i, domain in enumerate(self._domains)
            )

    def digest(self) -> str:
        """A digest of the images and their order; the same files in another folder have the same digest."""
        self.load()
        digests = [domain.digests() for domain in self._domains]
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest()

    def samples(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Images to look at, not augmented: the first images, of the bundled emoji some from all over the split.

        Args:
            count: images of each domain; fewer come where there are fewer.

        Returns:
            `(images_a, images_b)`, float32 in [-1, 1], `(count, height, width, channels)`; where sizes differ, the
            middle of each in the size of the smallest.
        """
        self.load()
        total = max(self.counts)
        count = min(count, total)
        places = [i * total // count for i in range(count)] if self._drawings else range(count)
        domains = [[self._sample(domain, place) for place in places] for domain in self._domains]
        size = tuple(min(image.shape[axis] for domain in domains for image in domain) for axis in (0, 1))
        return tuple(np.stack([center_crop(image, size) for image in domain]) for domain in domains)

    def _sample(self, domain, place):
        sizing = self._test_sizing
        image = domain.read(place % len(domain), sizing)
        return to_float(center_crop(image, sizing.output(image.shape[:2])))

    def _batches(self, numbers, size=None):
        """Turns a data set of image numbers into one of batches, of `size` or `batch_size` images."""
        size, order = size or self.batch_size, self._order

        def draw(number):
            return order.draw(number, 0), order.draw(number, 1)

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
        # A and its B one after the other: a file that holds both is then decoded once.
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
