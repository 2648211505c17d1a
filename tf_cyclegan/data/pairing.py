"""Pairs of files: files with the same name in two folders or more."""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

# Cityscapes' endings of the names of files that belong together.
ENDINGS = re.compile(r"_(gt(Fine|Coarse)_(labelIds|labelTrainIds|instanceIds)|leftImg8bit)$")
SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Files:
    """The image files of one domain, or of its instance maps.

    Args:
        folder: the folder that holds them.
        names: their names in messages.
        paths: their paths.
        others: names of the files in the folder that are no images. Defaults to nothing.
    """

    folder: pathlib.Path
    names: Sequence[str]
    paths: Sequence[pathlib.Path]
    others: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.names)

    def keys(self) -> list[str]:
        """The keys by which files are paired: paths in the folder, without suffixes and Cityscapes' endings."""
        return [ENDINGS.sub("", path.relative_to(self.folder).with_suffix("").as_posix()) for path in self.paths]

    def pick(self, indices: Sequence[int]) -> "Files":
        """Some of the files, in the order of `indices`."""
        return Files(self.folder, [self.names[i] for i in indices], [self.paths[i] for i in indices], self.others)


def match(first: Files, *others: Files) -> tuple[Files, ...]:
    """Brings files into the order of their partners in the first folder.

    Args:
        first, *others: the files of folders. Partners have the same path in their folders, but for the suffix and the
            endings of Cityscapes.

    Returns:
        `first`, and the others in the order of `first`.

    Raises:
        ValueError: if a file has no partner, or two files have the same.
    """
    keys = first.keys()
    wanted = _places(first, keys)
    matched = [first]
    for other in others:
        places = _places(other, other.keys())
        if wanted.keys() != places.keys():
            raise ValueError(_misfits(first, wanted, other, places))
        matched.append(other.pick([places[key] for key in keys]))
    return tuple(matched)


def _places(files, keys):
    places = {}
    for i, key in enumerate(keys):
        if key in places:
            both = f"{files.names[places[key]]} and {files.names[i]}"
            raise ValueError(f"`paired` files are matched by their names without suffix: {both} cannot be told apart.")
        places[key] = i
    return places


def _misfits(first, wanted, other, places):
    lonely = [
        [files.names[index] for key, index in own.items() if key not in theirs]
        for files, own, theirs in ((first, wanted, places), (other, places, wanted))
    ]
    text = (
        f"`paired` files must have the same names in {first.folder} and {other.folder} (other suffixes are allowed). "
        f"Received: {len(first)} and {len(other)} files, without a partner: "
        f"{'; '.join(_shown(names) for names in lonely if names)}."
    )
    if len(lonely[0]) == len(first) == len(other):
        text += " None of the names match: rename the files, so that both of a pair have one name."
    return text


def _shown(names):
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
