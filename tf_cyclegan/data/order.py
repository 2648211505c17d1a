"""Which image comes when, and its crop and flip: functions of the seed, the epoch and the place in the epoch."""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Order:
    """The order of the images of two domains.

    Images have numbers that count through all epochs: an epoch of training is as long as the larger domain.

    Args:
        counts: number of images in A and in B.
        batch_size: images of each domain in a batch.
        seed: of order, crop and flip.
        paired: whether both domains share order, crop and flip.
        training: whether images are shuffled anew in each epoch and a last incomplete batch is dropped; otherwise they
            come in the order of the files.
    """

    counts: tuple[int, int]
    batch_size: int
    seed: int
    paired: bool
    training: bool

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(max(self.counts), self.batch_size)
        return whole if self.training else whole + bool(rest)

    def numbers(self, step: int) -> range:
        """The numbers of the images in a batch."""
        if self.training:
            return range(step * self.batch_size, (step + 1) * self.batch_size)
        first = step % self.steps_per_epoch * self.batch_size
        return range(first, min(first + self.batch_size, max(self.counts)))

    def epoch(self, start_epoch: int) -> tf.data.Dataset:
        """The numbers of one epoch, of the next one with each iteration: the first is `start_epoch`."""
        if not self.training:
            return tf.data.Dataset.range(max(self.counts))
        per_epoch = self.steps_per_epoch * self.batch_size
        epochs = itertools.count(start_epoch)

        def numbers(_):
            first = tf.numpy_function(lambda: np.int64(next(epochs) * per_epoch), [], tf.int64)
            return tf.data.Dataset.range(first, first + per_epoch)

        return tf.data.Dataset.range(1).flat_map(numbers)

    def stream(self, start_step: int, shard: int, shards: int) -> tf.data.Dataset:
        """The numbers of all epochs of training from a step on, in each batch only those of a shard."""
        share = self.batch_size // shards
        numbers = tf.data.Dataset.range(start_step * share, tf.int64.max)
        if shards == 1:
            return numbers
        return numbers.map(lambda i: i // share * self.batch_size + shard * share + i % share)

    def draw(self, number, domain):
        """The `number`-th image of a domain, counted through all epochs.

        Args:
            number: scalar int64 tensor, the number of an image.
            domain: 0 for A, 1 for B.

        Returns:
            `(index, draws)`: which image of the domain (scalar int64), and three numbers in [0, 1) for crop and flip.
        """
        count = self.counts[domain]
        if not self.training:
            return number % count, tf.zeros([3])
        per_epoch = self.steps_per_epoch * self.batch_size
        epoch, place = number // per_epoch, number % per_epoch
        key = tf.constant([self.seed % 2**32, 0 if self.paired else domain], tf.int64)
        key = tf.random.fold_in(key, epoch, alg="philox")
        # The smaller domain has several orders in an epoch. Negative, so that no draw has the seed of an order.
        order = tf.random.fold_in(key, -1 - place // count, alg="philox")
        index = tf.random.experimental.index_shuffle(place % count, order, tf.constant(count - 1, tf.int64))
        return index, tf.random.stateless_uniform([3], tf.random.fold_in(key, place, alg="philox"), alg="philox")
