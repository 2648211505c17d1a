"""What image files hold beside their colors, and which formats can keep it: transparency, color profile, resolution."""

import dataclasses
import math

import numpy as np
from PIL import Image, ImageOps

from tf_cyclegan.data import image_files as npy
from tf_cyclegan.data.domains import half
from tf_cyclegan.data.image_files import UNREADABLE, open_image, open_stream
from tf_cyclegan.data.images import STRIP

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
# The least and the most dots per inch: a meter's in 31 bits, quotients of 32 bits, an inch's in 16 bits.
_DPI = {
    **dict.fromkeys((".png", ".bmp"), (0.0254, 0.0254 * (2**31 - 1))),
    **dict.fromkeys((".tif", ".tiff"), (2**-31, 2**31)),
    **dict.fromkeys(_JPEG, (1, 65535)),
}
_FORMATS = {
    "transparency": (".png", ".webp", ".tif", ".tiff"),
    "color profile": (".png", ".webp", ".tif", ".tiff", *_JPEG),
    "resolution": tuple(_DPI),
}
# The color space that a profile is of stands in its header.
_SPACE, _SPACES = slice(16, 20), {b"GRAY": 1, b"RGB ": 3}
_ORIENTATION, _ON_THEIR_SIDE = 0x0112, (5, 6, 7, 8)


@dataclasses.dataclass(frozen=True)
class Extras:
    """What an image file holds beside its colors.

    Args:
        alpha: optional uint8 array `(height, width)`, 0 where the image is transparent. Defaults to None.
        profile: optional bytes, the ICC profile of its colors. Defaults to None.
        dpi: optional `(horizontal, vertical)`, dots per inch. Defaults to None.
    """

    alpha: np.ndarray | None = None
    profile: bytes | None = None
    dpi: tuple | None = None

    def half(self, side):
        """Those of the left (0) or right (1) half of the image."""
        if self.alpha is None:
            return self
        return dataclasses.replace(self, alpha=half(self.alpha, side))

    def fitting(self, suffix, channels, eight_bits=True):
        """Those that a file of another format, number of channels and depth can have.

        Returns:
            `(Extras, names of those left out)`.
        """
        space = _SPACES.get(self.profile[_SPACE]) if self.profile else None
        kept = {
            "transparency": ("alpha", eight_bits),
            "color profile": ("profile", space == channels),
            "resolution": ("dpi", _has_room(self.dpi, suffix)),
        }
        lost = {
            name: field
            for name, (field, fits) in kept.items()
            if getattr(self, field) is not None and not (fits and suffix in _FORMATS[name])
        }
        return dataclasses.replace(self, **dict.fromkeys(lost.values())), list(lost)

    def applied(self, image):
        """A `PIL.Image.Image` with the transparency, and the options with which it is saved."""
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        options = {"icc_profile": self.profile, "dpi": self.dpi}
        return image, {name: value for name, value in options.items() if value is not None}


def read_extras(path):
    """What a file holds beside its colors, upright as the EXIF orientation has it; nothing of one that is no image."""
    try:
        with open_stream(path) as stream:
            if npy.is_npy(stream):
                return Extras()
            with open_image(stream) as image:
                profile = image.info.get("icc_profile")
                dpi = _dpi(image)
                return Extras(_alpha(image), profile if isinstance(profile, bytes) else None, dpi)
    except UNREADABLE:  # reading its colors says why
        return Extras()


def _dpi(image):
    """The resolution of an image; None for what is none, as the 0 and the 0/0 that some programs write."""
    try:
        horizontal, vertical = map(float, image.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if not (0 < horizontal < math.inf and 0 < vertical < math.inf):
        return None
    on_its_side = image.getexif().get(_ORIENTATION) in _ON_THEIR_SIDE
    return (vertical, horizontal) if on_its_side else (horizontal, vertical)


def _has_room(dpi, suffix):
    """Whether files of a suffix have room for a resolution."""
    least, most = _DPI.get(suffix, (0, 0))
    return dpi is not None and least <= min(dpi) and max(dpi) <= most


def _alpha(image):
    """The transparency of an image; None where it has none to speak of.

    Nothing else as large as the image is made of it: images may be as large as `--tile` takes them.
    """
    if not image.has_transparency_data:
        return None
    image.load()  # which turns TIFF upright
    alpha = np.empty((image.height, image.width), np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        alpha[top : top + rows] = np.asarray(strip.convert("RGBA").getchannel("A"))
    if alpha.min() == 255:
        return None
    upright = Image.fromarray(alpha)
    upright.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
    ImageOps.exif_transpose(upright, in_place=True)
    return np.asarray(upright)
