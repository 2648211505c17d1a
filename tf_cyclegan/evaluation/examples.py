"""The images of an evaluation: an epoch of examples, their means, and a gallery for the report."""

import bisect
import dataclasses

import numpy as np

from tf_cyclegan.data import images
from tf_cyclegan.data.bundled import STYLES

SMALL_SIDE = 64
SIDE = 192  # pixels of a kept image's longer side, at most


@dataclasses.dataclass(frozen=True)
class Example:
    """The images at one place of a data set; if answers are known, they are a pair.

    Args:
        index: int, the place.
        images: dict of the domains' letters to float32 arrays `(height, width, channels)` in [-1, 1]; a domain that has
            fewer images is missing.
        names: dict of the domains' letters to the names of the files.
    """

    index: int
    images: dict
    names: dict


def has_answers(data):
    """Whether image i of A and image i of B are a pair, as in paired data and in the bundled test drawings."""
    return bool(data.paired or (data.name in STYLES and data.split == "test"))


def counts_of(data, count=None):
    """Dict of the domains' letters to the numbers of images that `examples` yields."""
    return {letter: min(total, count or total) for letter, total in zip("ab", data.counts, strict=True)}


def examples(data, count=None):
    """Yields the images of a data set once; one image of each domain is in memory at a time.

    Args:
        data: `TranslationDataset`.
        count: optional int, at most so many images of each domain, spread over all. Defaults to all.

    Yields:
        `Example`.
    """
    places = {
        letter: {i * total // wanted for i in range(wanted)}
        for (letter, wanted), total in zip(counts_of(data, count).items(), data.counts, strict=True)
    }
    last = max(map(max, places.values()))
    for index, pair in enumerate(data.epoch().unbatch().take(last + 1)):
        here = [letter for letter in "ab" if index in places[letter]]
        if here:
            pixels, names = (dict(zip("ab", both, strict=True)) for both in (pair, _names(data, index)))
            yield Example(index, {x: pixels[x].numpy() for x in here}, {x: names[x] for x in here})


def _names(data, index):
    """The names of the files at a place; they take time where an order has to be drawn."""
    step, place = divmod(index, data.batch_size)
    return [names[place] for names in data.names(step)]


def mean_images(data):
    """The mean image of each domain, by its letter: the best answer that does not depend on the input.

    Args:
        data: `TranslationDataset` of images of one size.

    Returns:
        Dict of letters to float64 arrays `(height, width, channels)`; it is empty if sizes differ.
    """
    if data.image_size == (None, None):
        return {}
    sums = {}
    for index, pair in enumerate(data.epoch().unbatch()):
        for letter, count, image in zip("ab", data.counts, pair, strict=True):
            if index < count:  # a domain with fewer images begins again
                sums[letter] = sums.get(letter, 0) + image.numpy().astype(np.float64)
    return {letter: sums[letter] / count for letter, count in zip("ab", data.counts, strict=True)}


def small(image, side=SMALL_SIDE):
    """An image of at most `side` x `side` pixels, float32, of which many fit in memory.

    Args:
        image: float array `(height, width, channels)` in [-1, 1].
        side: int. Defaults to 64.
    """
    height, width = (min(side, length) for length in image.shape[:2])
    levels = np.clip((np.asarray(image, np.float32) + 1) * 127.5, 0, 255)
    return images.to_float(images.resize(levels, (height, width)))


class Gallery:
    """The best, the worst and random translations of each direction, a few of each.

    Args:
        model: `TranslationModel`, whose `displayed` shows its images.
        counts: dict of the domains' letters to the numbers of images that will be added; the random images are drawn
            from them.
        rows: int, images of each kind. Defaults to 6.
        seed: int. Defaults to 0.
    """

    def __init__(self, model, counts, rows=6, seed=0):
        self.model, self.rows = model, rows
        random = np.random.default_rng(seed)
        self._drawn = {
            letter: set(random.choice(count, min(rows, count), replace=False).tolist())
            for letter, count in counts.items()
        }
        self._seen = {}
        self._kept = {}

    def add(self, direction, index, name, score, image, output, third=None, third_domain=None):
        """Adds a translation.

        Args:
            direction: str.
            index: int, the place in the data set.
            name: str, the file.
            score: float, the lower the better; None for a translation without a rank.
            image, output: float arrays `(height, width, channels)` in [-1, 1].
            third: optional image, the right answer or the translation back. Defaults to None.
            third_domain: letter of the domain of `third`. Defaults to None.
        """
        kept = self._kept.setdefault(direction, {"best": [], "worst": [], "random": []})
        place = self._seen.get(direction, 0)
        self._seen[direction] = place + 1
        kinds = [kind for kind in ("best", "worst") if score is not None and self._has_place(kept[kind], kind, score)]
        kinds += ["random"] if place in self._drawn[direction[0]] else []
        if not kinds:
            return
        columns = [(image, direction[0]), (output, direction[1]), (third, third_domain)]
        shown = [self._thumbnail(*column) for column in columns if column[0] is not None]
        entry = {"index": index, "name": name, "score": score, "images": shown}
        for kind in kinds:
            if kind == "random":
                kept[kind].append(entry)
            else:
                bisect.insort(kept[kind], entry, key=lambda each: _rank(each["score"], kind))
                del kept[kind][self.rows :]

    def entries(self, direction):
        """Dict of `"best"`, `"worst"` and `"random"` to lists of dicts with `name`, `score` and `images`, uint8."""
        return self._kept.get(direction, {"best": [], "worst": [], "random": []})

    def _has_place(self, entries, kind, score):
        return len(entries) < self.rows or _rank(score, kind) < _rank(entries[-1]["score"], kind)

    def _thumbnail(self, pixels, domain):
        shown = np.asarray(self.model.displayed(pixels[None], domain))[0]
        shown = images.to_uint8(shown[..., : 3 if shown.shape[2] >= 3 else 1])
        height, width = shown.shape[:2]
        factor = min(1, SIDE / max(height, width))
        return images.resize(shown, (max(1, round(height * factor)), max(1, round(width * factor))))


def _rank(score, kind):
    return score if kind == "best" else -score
