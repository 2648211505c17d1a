"""The limits of a request, and the check of its inputs before TensorFlow sees them."""

import dataclasses
import os

import numpy as np

from tf_cyclegan.serving.errors import ServingError, invalid
from tf_cyclegan.serving.image_size import MAX_UNPACKED, image_size, is_png, unpacked_bytes
from tf_cyclegan.settings.checks import check_positive
from tf_cyclegan.settings.server_limits import MAX_SIDE, LimitSettings

MAX_CODES = 2**24  # of GIFs, at up to 0.25 us each; files of 16 MiB with over 64 colors have no more
_UNREAD = 16  # times the size of a request; a reply in columns of numbers can be eight times as long as its request


@dataclasses.dataclass(frozen=True)
class Limits(LimitSettings):
    """Limits of a server. A request beyond a limit gets an error that names it.

    Args:
        **settings: fields of `LimitSettings`. `max_running` defaults to the number of CPU cores, `max_memory_bytes` to
            80 % of the memory that is free at the start.
        body_seconds: float, for the body to arrive, and one more for each 64 KiB of it; also the longest time without
            a byte. A body that is slower gets 408. Defaults to 10.

    Raises:
        ValueError: if a limit is below 1 (`max_queued`: below 0).
    """

    body_seconds: float = dataclasses.field(default=10.0, kw_only=True)

    def __post_init__(self):
        if self.max_running is None:
            object.__setattr__(self, "max_running", os.cpu_count() or 1)
        self.check()
        check_positive("body_seconds", self.body_seconds)

    @property
    def max_unread_bytes(self):
        """The most bytes of replies that may wait until they are written, or until clients take them."""
        return _UNREAD * self.max_body_bytes

    def check_unread(self, unread_bytes):
        """Raises `ServingError` if clients have yet to take so many bytes that no further reply is computed."""
        if unread_bytes > self.max_unread_bytes:
            raise ServingError("UNAVAILABLE", "Too many replies wait for their clients to take them. Try again later.")


class ImageRejected(ServingError):
    """An encoded image that is too large to be decoded."""

    def __init__(self, message):
        super().__init__("INVALID_ARGUMENT", message)


def check_inputs(inputs, limits):
    """Checks the inputs of a request before TensorFlow sees them.

    Args:
        inputs: dict, name to array; strings are object arrays of bytes.
        limits: `Limits`.

    Returns:
        int, the pixels of its images, in encoded files and in arrays of rank 4.

    Raises:
        ServingError: if there are too many instances.
        ImageRejected: if encoded images have too many pixels or too long a side, or take long to decode.
    """
    for name, array in inputs.items():
        if array.ndim and len(array) > limits.max_instances:
            raise invalid(f"Input {name} has {len(array)} instances. Expected at most: {limits.max_instances}")
    strings = [value for array in inputs.values() if array.dtype == object for value in np.ravel(array)]
    try:
        sizes = [size for size in map(image_size, strings) if size]
        pixels = _checked_pixels(sizes, limits.max_pixels)
        unpacked = unpacked_bytes([value for value in strings if is_png(value)])
    except ValueError as error:
        raise ImageRejected(str(error)) from error
    if unpacked > MAX_UNPACKED:
        raise ImageRejected(
            f"The request's PNGs have texts and profiles of up to {unpacked} bytes. Expected at most: {MAX_UNPACKED}"
        )
    return pixels + sum(map(array_pixels, inputs.values()))


def array_pixels(array):
    """The pixels of images in an array of rank 4, with channels first or last; 0 for other arrays."""
    return array.size // max(1, min(array.shape[1], array.shape[3])) if array.ndim == 4 else 0


def _checked_pixels(sizes, max_pixels):
    for size in sizes:
        if max(size.height, size.width) > MAX_SIDE:
            raise ImageRejected(
                f"An image has {size.width} x {size.height} pixels. Expected sides of at most: {MAX_SIDE}"
            )
    pixels = sum(size.height * size.width * size.frames for size in sizes)
    if pixels > max_pixels:
        raise ImageRejected(f"The request has images of {pixels} pixels. Expected at most: {max_pixels}")
    codes = sum(size.codes for size in sizes)
    if codes > MAX_CODES:
        raise ImageRejected(f"The request has GIFs of up to {codes} codes. Expected at most: {MAX_CODES}")
    return pixels
