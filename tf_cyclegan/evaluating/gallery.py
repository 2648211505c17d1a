"""The best, the worst and some random translations, kept small while the images pass."""

import bisect

import numpy as np

from tf_cyclegan.data import images

SIDE = 192  # pixels of a kept image's longer side, at most


class Gallery:
    """Keeps a few translations of each direction, whatever the number of images.

    Args:
        model: `TranslationModel`, which says how its images are shown.
        counts: dict of the domains' letters to the numbers of images that will come, from which the random ones are
            drawn.
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
            score: float, by which it is ranked, the lower the better; None for no rank.
            image, output: float arrays `(height, width, channels)` in [-1, 1].
            third: the right answer, or what came back. Defaults to None.
            third_domain: letter of its domain. Defaults to None.
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
