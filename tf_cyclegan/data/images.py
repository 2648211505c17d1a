"""Images as arrays: read, resize, arrange and write them, between [0, 255] and [-1, 1]."""

import io

import numpy as np
from PIL import Image, ImageOps

from tf_cyclegan.data import npy_files
from tf_cyclegan.data.image_files import (
    UNREADABLE,
    header_of,
    is_deep,
    level_step,
    open_image,
    open_stream,
    type_of,
    unreadable,
    without_step,
)
from tf_cyclegan.data.value_ranges import range_of, to_levels
from tf_cyclegan.files import write_whole

# Pixels that are copied out of PIL at once: memory never holds a large image twice.
STRIP = 2**22


def to_float(images):
    """Maps [0, 255] to [-1, 1].

    Args:
        images: array or eager tensor of any shape in [0, 255].

    Returns:
        Array of the same shape, float32 in [-1, 1].
    """
    return np.asarray(images, np.float32) / np.float32(127.5) - np.float32(1)


def to_uint8(images):
    """Maps [-1, 1] to [0, 255], rounded to the nearest and clipped.

    The PyTorch reference cuts the fraction off, which darkens by half a level; this rounds, so that
    `to_uint8(to_float(x))` is `x`.

    Args:
        images: array or eager tensor of any shape, float in [-1, 1]; values outside are clipped.

    Returns:
        Array of the same shape, uint8.
    """
    images = np.asarray(images, np.float32)
    return np.clip(np.rint((images + 1) * 127.5), 0, 255).astype(np.uint8)


def read_image(file, channels=3, value_range=None, name=None, seen=None):
    """Reads one image: PNG, JPEG, WebP, BMP, TIFF, PGM, PPM or `.npy`.

    Transparency is laid on white, palettes are resolved, CMYK is converted and the EXIF orientation is applied.

    Args:
        file: path, or the `bytes` of an encoded file.
        channels: channels wanted. Image files give 3 (color) or 1 (luma gray); a `.npy` must have exactly this many
            (a 2-D array has one). Defaults to 3.
        value_range: `(low, high)`, the values of 16-bit files and of `.npy` that become 0 and 255; needed for
            floating-point data, otherwise the range of the data type. 8-bit image files do not use it. Defaults to
            `None`.
        name: what errors call the image. Defaults to the path.
        seen: optional callable that takes the arguments of `value_ranges.use_of`, the values as they are in the file
            first. Defaults to None.

    Returns:
        Array `(height, width, channels)`: uint8 for 8-bit files, otherwise float32 in [0, 255].

    Raises:
        ValueError: if the file is not an image, is cut short, or does not fit `channels` or `value_range`.
    """
    try:
        with open_stream(file) as stream:
            if npy_files.is_npy(stream):
                return to_levels(npy_files.read_npy(stream, channels), value_range, seen)
            with open_image(stream) as image:
                step = 1 if value_range is None else level_step(image)
                cut = ";16" in str(image.tile[:1]) and not is_deep(image)  # which is not known once it is loaded
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                if image.mode == "I" and image.format in ("PNG", "PPM"):  # 16-bit gray; PNG in older versions of PIL
                    image = Image.fromarray(without_step(np.asarray(image), step).astype(np.uint16))
                return _pixels(image, channels, value_range, seen, cut)
    except UNREADABLE as error:
        raise unreadable(file, name, error) from error


def read_header(file, channels=3, value_range=None, name=None):
    """Reads the size and the data type of an image without decoding it.

    Args:
        file: path, or the `bytes` of an encoded file.
        channels, value_range, name: as in `read_image`.

    Returns:
        `(height, width, dtype)` as `read_image` would return them; dtype is `"uint8"` or `"float32"`.

    Raises:
        ValueError: if the file is not an image, or a `.npy` that does not fit `channels` or `value_range`.
    """
    try:
        with open_stream(file) as stream:
            if npy_files.is_npy(stream):
                return _npy_header(stream, channels, value_range)
            with open_image(stream) as image:
                return header_of(image)
    except UNREADABLE as error:
        raise unreadable(file, name, error) from error


def stored_type(file):
    """Reads which type of number a file holds, without decoding it.

    Args:
        file: path, or the `bytes` of an encoded file.

    Returns:
        NumPy's data type: of a `.npy` its own; of image files uint8, uint16, int32 or float32. None for a file that
        cannot be read; reading it says why.
    """
    try:
        with open_stream(file) as stream:
            if npy_files.is_npy(stream):
                return npy_files.read_npy_header(stream)[1].newbyteorder("=")
            with open_image(stream) as image:
                return type_of(image)
    except UNREADABLE:
        return None


def resize(image, size):
    """Resizes with PIL's antialiased bicubic filter.

    Args:
        image: array `(height, width, channels)`, uint8, or float32 in [0, 255].
        size: `(height, width)` wanted, in pixels.

    Returns:
        Array `(height, width, channels)` of the same dtype, in [0, 255].
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    # One channel at a time: as RGBA, PIL would weight the colors with the fourth channel.
    mode = np.uint8 if image.dtype == np.uint8 else np.float32
    planes = [
        Image.fromarray(np.ascontiguousarray(image[..., i], mode)).resize((width, height), Image.Resampling.BICUBIC)
        for i in range(image.shape[2])
    ]
    return np.clip(np.stack([np.asarray(plane) for plane in planes], axis=-1), 0, 255)


def convert_channels(image, channels):
    """Turns a uint8 color image gray or a gray one into color.

    Args:
        image: uint8 array `(height, width, 1)` or `(height, width, 3)`.
        channels: 1 (luma gray) or 3 (color).

    Returns:
        uint8 array `(height, width, channels)`.
    """
    if image.shape[2] == channels:
        return image
    return _pixels(Image.fromarray(image[..., 0] if image.shape[2] == 1 else image), channels, None)


def image_grid(rows, separator=2):
    """Arranges images in rows, with thin white lines between them.

    Args:
        rows: list of rows, each a list of uint8 arrays `(height, width, channels)` with 1 or 3 channels. Smaller
            images are filled up with white to the largest.
        separator: width of the lines in pixels. Defaults to 2.

    Returns:
        uint8 array `(height, width, channels)`: 3 channels if any image has 3, otherwise 1.

    Raises:
        ValueError: if there is no image.
    """
    images = [np.asarray(image) for row in rows for image in row]
    if not images:
        raise ValueError(f"`rows` must hold at least one image. Received: rows={rows}")
    height, width, channels = (max(image.shape[axis] for image in images) for axis in range(3))
    columns = max(len(row) for row in rows)
    step_y, step_x = height + separator, width + separator
    grid = np.full((len(rows) * step_y - separator, columns * step_x - separator, channels), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            top, left = y * step_y, x * step_x
            grid[top : top + image.shape[0], left : left + image.shape[1]] = image
    return grid


def save_png(path, image):
    """Writes a PNG file, whole or not at all: a reader never sees half of it.

    Args:
        path: where to write; the folder must exist.
        image: uint8 array `(height, width, channels)` with 1, 3 or 4 channels.

    Raises:
        ValueError: if `image` has another dtype or shape.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise ValueError(
            "`image` must be uint8 of shape (height, width, channels) with 1, 3 or 4 channels. "
            f"Received: shape={image.shape}, dtype={image.dtype}"
        )
    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, format="PNG")
    write_whole(path, stream.getvalue())


def _npy_header(stream, channels, value_range):
    shape, dtype = npy_files.npy_image_header(stream, channels)
    range_of(dtype, value_range)
    return shape[0], shape[1], "uint8" if dtype == np.uint8 and value_range is None else "float32"


def _pixels(image, channels, value_range, seen=None, cut=False):
    """The pixels of a decoded PIL image: `(height, width, channels)`."""
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3 for image files (other numbers need .npy). Received: {channels}")
    if is_deep(image):
        gray = np.asarray(image)[..., None]
        if gray.dtype.itemsize != 2 and value_range is None:
            raise ValueError(f"pixels of kind {gray.dtype} need `value_range`")
        return np.repeat(to_levels(gray, value_range, seen), channels, axis=2)
    pixels = np.empty((image.height, image.width, channels), np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        strip = image if rows >= image.height else image.crop((0, top, image.width, bottom))
        pixels[top:bottom] = _colors(strip, channels).reshape(bottom - top, image.width, channels)
    if seen:
        seen(pixels, (0, 255), True, cut)
    return pixels


def _colors(image, channels):
    """The colors or the luma of an 8-bit image, transparency laid on white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    mode = "L" if channels == 1 else "RGB"
    return np.asarray(image if image.mode == mode else image.convert(mode))
