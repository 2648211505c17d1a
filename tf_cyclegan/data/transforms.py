"""`Sizing`: the sizes that images are resized and cropped to; and the functions that crop and flip."""

import dataclasses

import numpy as np

RESIZE_MODES = ("resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none")
# Sides of images that are not cropped are rounded to its multiples: CycleGAN's networks halve an image twice, and
# would return other sides with another size.
MULTIPLE = 4
# The most pixels of an image resized with its ratio kept: an image of 1x20000 pixels would come to gigabytes.
MAX_PIXELS = 2**27
Size = tuple[int, int]


def as_size(value: int | tuple[int, int], name: str) -> Size:
    """Turns a side or `(height, width)` into `(height, width)`, in pixels.

    Raises:
        ValueError: if it is neither, naming the argument `name`.
    """
    sides = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    valid = len(sides) == 2 and all(isinstance(s, (int, np.integer)) and not isinstance(s, bool) for s in sides)
    if not valid or min(sides) < 1:
        raise ValueError(f"`{name}` must be a positive integer or (height, width). Received: {name}={value}")
    return int(sides[0]), int(sides[1])


@dataclasses.dataclass(frozen=True)
class Sizing:
    """How an image is resized and cropped.

    Args:
        mode: as `preprocess` of the PyTorch reference: `"resize_and_crop"` (to `load_size`, then a crop of
            `image_size`), `"crop"` (a crop of the image as it is), `"scale_width"` (to the width of `load_size` with
            the ratio kept), `"scale_width_and_crop"` (that, then a crop) or `"none"`. Where nothing is cropped the
            sides are rounded to multiples of `multiple`.
        image_size: `(height, width)` that the network gets, in pixels.
        load_size: `(height, width)` before the crop, in pixels.
        augment: whether the crop is random. Without, `"resize_and_crop"` resizes straight to `image_size`, and the
            other modes crop the middle. Defaults to `True`.
        multiple: what the sides are rounded to where nothing is cropped, in pixels. Defaults to 4.
    """

    mode: str
    image_size: Size
    load_size: Size
    augment: bool = True
    multiple: int = MULTIPLE

    @property
    def crops(self) -> bool:
        """Whether all images come out as `image_size`."""
        return self.mode not in ("scale_width", "none")

    def target(self, size: Size, name: str = "") -> Size:
        """The size an image is resized to before the crop.

        Args:
            size: its own `(height, width)`.
            name: what the error calls it. Defaults to nothing.

        Raises:
            ValueError: if it is too small to be cropped, or so narrow that it would become too large.
        """
        height, width = size
        if self.mode == "resize_and_crop":
            return self.load_size if self.augment else self.image_size
        if self.mode.startswith("scale_width"):
            height, width = max(1, round(height * self.load_size[1] / width)), self.load_size[1]
            if height * width > MAX_PIXELS:
                raise ValueError(
                    f"The image {name} of {size[0]}x{size[1]} pixels (height x width) would become one of "
                    f"{height}x{width} with `resize_mode`={self.mode!r}, more than the {MAX_PIXELS} that are possible. "
                    "Cut the image or use another mode."
                )
        if not self.crops:
            return _round(height, self.multiple), _round(width, self.multiple)
        if self.mode == "scale_width_and_crop":
            # As the reference: what would be too low to crop is stretched.
            return max(height, self.image_size[0]), width
        if height < self.image_size[0] or width < self.image_size[1]:
            raise ValueError(
                f"The image {name} of {height}x{width} pixels (height x width) is smaller than the crop of "
                f"`image_size`={self.image_size} with `resize_mode`='crop'. Use a smaller `image_size` or another mode."
            )
        return height, width

    def output(self, size: Size) -> Size:
        """The size an image of the target size `size` has in a batch."""
        return self.image_size if self.crops else size


def _round(side, multiple):
    return max(multiple, round(side / multiple) * multiple)


def crop_and_flip(image: np.ndarray, size: Size, draws: np.ndarray, flip: bool) -> np.ndarray:
    """Cuts out a part of an image and perhaps mirrors it, without copying.

    Args:
        image: array `(height, width, channels)`.
        size: `(height, width)` of the part, in pixels.
        draws: three numbers in [0, 1): the place of the crop from top to bottom and from left to right, and whether
            to flip (from 0.5 on).
        flip: whether flipping is allowed.

    Returns:
        View `(size[0], size[1], channels)` of the image.
    """
    top, left = (int(draws[axis] * (image.shape[axis] - size[axis] + 1)) for axis in (0, 1))
    part = image[top : top + size[0], left : left + size[1]]
    return part[:, ::-1] if flip and draws[2] >= 0.5 else part


def center_crop(image: np.ndarray, size: Size) -> np.ndarray:
    """Cuts `size` out of the middle of an image, without copying."""
    top, left = ((image.shape[axis] - size[axis]) // 2 for axis in (0, 1))
    return image[top : top + size[0], left : left + size[1]]
