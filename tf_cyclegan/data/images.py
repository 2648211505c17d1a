"""Images as arrays: read, resize, arrange and write them, between [0, 255] and [-1, 1]."""

import io

import numpy as np
from PIL import Image, ImageOps

from tf_cyclegan.data import image_files
from tf_cyclegan.data.image_files import UNREADABLE, open_image, open_stream, unreadable
from tf_cyclegan.data.value_ranges import range_of, to_levels
from tf_cyclegan.files import write_whole

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".pgm", ".ppm", ".pnm", ".npy"),
)
# The modes of PIL's images that hold numbers, apart from 16 bits; the largest number that survives in [-1, 1].
ID_MODES = ("1", "L", "P", "I")
MAX_ID = 2**20
# Pixels that are taken out of PIL at once: a large image is never there a second time on the way.
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
        seen: optional callable that gets the values as they are in the file, and what else `value_ranges.use_of` takes.
            Defaults to None.

    Returns:
        Array `(height, width, channels)`: uint8 for 8-bit files, otherwise float32 in [0, 255].

    Raises:
        ValueError: if the file is not an image, is cut short, or does not fit `channels` or `value_range`.
    """
    try:
        with open_stream(file) as stream:
            if image_files.is_npy(stream):
                return to_levels(_npy_channels(image_files.read(stream), channels), value_range, seen)
            with open_image(stream) as image:
                step = 1 if value_range is None else _level_step(image)
                cut = ";16" in str(image.tile[:1]) and not _is_deep(image)  # which is not known once it is loaded
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                if image.mode == "I" and image.format in ("PNG", "PPM"):  # 16-bit gray; PNG in older versions of PIL
                    image = Image.fromarray(_undone(np.asarray(image), step).astype(np.uint16))
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
            return _npy_header(stream, channels, value_range) if image_files.is_npy(stream) else _image_header(stream)
    except UNREADABLE as error:
        raise unreadable(file, name, error) from error


def stored_type(file):
    """Reads which type of number a file holds, without decoding it.

    Args:
        file: path, or the `bytes` of an encoded file.

    Returns:
        NumPy's data type: of a `.npy` its own; of image files uint8, uint16, int32 or float32. None for what cannot be
        read, of which reading says why.
    """
    try:
        with open_stream(file) as stream:
            if image_files.is_npy(stream):
                return image_files.read_header(stream)[1].newbyteorder("=")
            with open_image(stream) as image:
                return _stored_type(image)
    except UNREADABLE:
        return None


def read_ids(file, name=None, channels=1):
    """Reads one label map: the number in each pixel, whatever a palette would show for it.

    Args:
        file: path, or the `bytes` of an encoded file: a gray or palette image, not JPEG, or a `.npy` of whole numbers.
        name: what errors call it. Defaults to the path.
        channels: 1, or 2 for a label map with instance ids, which only a `.npy` can hold. Defaults to 1.

    Returns:
        Array `(height, width, channels)`: uint8 for files of at most 8 bits, otherwise float32, of whole
        numbers from 0 to `MAX_ID`.

    Raises:
        ValueError: if the file cannot be read, or holds no ids.
    """
    try:
        with open_stream(file) as stream:
            if image_files.is_npy(stream):
                return _ids(_npy_channels(image_files.read(stream), channels))
            with open_image(stream) as image:
                _check_ids_image(image, channels)
                step, inverted = _level_step(image), _raw_mode(image).endswith("I")
                image.load()
                levels = np.asarray(ImageOps.exif_transpose(image))[..., None]
                if inverted:  # 0 is white in the file, and black here
                    levels = ~levels
                return _ids(_undone(levels, step))
    except UNREADABLE as error:
        raise unreadable(file, name, error, "label map") from error


def expected_ids(classes, ignore_label=None):
    """The ids that label maps may have, in words."""
    return f"ids from 0 to {classes - 1}" + ("" if ignore_label is None else f" or {ignore_label}, which is ignored")


def read_ids_header(file, name=None):
    """Reads the size and the data type of a label map without decoding it.

    Args:
        file, name: as in `read_ids`.

    Returns:
        `(height, width, dtype)` as `read_ids` would return them; dtype is `"uint8"` or `"float32"`.

    Raises:
        ValueError: if the file is not a label map.
    """
    try:
        with open_stream(file) as stream:
            if image_files.is_npy(stream):
                shape, dtype = _npy_shape(stream, 1)
                return shape[0], shape[1], _ids(np.zeros((), dtype)).dtype.name
            return _image_header(stream, _check_ids_image)
    except UNREADABLE as error:
        raise unreadable(file, name, error, "label map") from error


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


def _image_header(stream, check=None):
    with open_image(stream) as image:
        if check:
            check(image)
        height, width = image.height, image.width
        # For a PNG without EXIF data PIL would decode the whole image to look for them at its end.
        orientation = image.getexif().get(0x0112) if image.format != "PNG" or "exif" in image.info else None
        if orientation in (5, 6, 7, 8):  # the orientations that swap the sides
            height, width = width, height
        return height, width, "float32" if _is_deep(image) else "uint8"


def _npy_shape(stream, channels):
    shape, dtype = image_files.read_header(stream)
    # An array of this shape that takes no memory, to be checked as the real one will be.
    return _npy_channels(np.broadcast_to(np.zeros((), dtype), shape), channels).shape, dtype


def _npy_header(stream, channels, value_range):
    shape, dtype = _npy_shape(stream, channels)
    range_of(dtype, value_range)
    return shape[0], shape[1], "uint8" if dtype == np.uint8 and value_range is None else "float32"


def _check_ids_image(image, channels=1):
    if channels != 1:
        raise ValueError(f"an image, expected a .npy of whole numbers (height, width, {channels}): classes, instances")
    if image.format == "JPEG":
        raise ValueError("JPEG changes values, which a label map cannot stand. Use PNG")
    if image.mode not in ID_MODES and not image.mode.startswith("I;16"):
        raise ValueError(
            f"colors (mode {image.mode}) where one id a pixel was expected. Use gray or palette images, in which the "
            "value is the number of the class"
        )


def _level_step(image):
    """What PIL multiplies the numbers in a gray file by, where they do not take the whole range of a byte or word."""
    if image.tile and image.tile[0][0].startswith("ppm") and isinstance(image.tile[0][3], tuple):
        _, white = image.tile[0][3]
        return (65535 if image.mode == "I" else 255) / white
    return {"L;2": 85, "L;4": 17}.get(_raw_mode(image).removesuffix("I"), 1)


def _raw_mode(image):
    """How the numbers stand in a file that is not decoded yet, in PIL's words; WebP has none."""
    arguments = image.tile[0][3] if image.tile else ""
    mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return mode if isinstance(mode, str) and ";" in mode else ""


def _undone(levels, step):
    return levels if step == 1 else np.rint(levels / step).astype(levels.dtype)


def _ids(array):
    """The ids of a decoded label map, as `read_ids` returns them."""
    if array.dtype.kind not in "bui":
        raise ValueError(f"an array of {array.dtype} where whole numbers were expected")
    if array.dtype.itemsize == 1 and array.dtype.kind in "bu":
        return array.astype(np.uint8)
    if array.min() < 0 or array.max() > MAX_ID:
        raise ValueError(f"ids from {array.min()} to {array.max()}, expected from 0 to {MAX_ID}")
    return array.astype(np.float32)


def _stored_type(image):
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return np.dtype("uint16")
    return np.dtype({"I": "int32", "F": "float32"}.get(image.mode, "uint8"))


def _is_deep(image):
    return image.mode == "F" or image.mode.startswith("I")


def _pixels(image, channels, value_range, seen=None, cut=False):
    """The pixels of a decoded PIL image: `(height, width, channels)`."""
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3 for image files (other numbers need .npy). Received: {channels}")
    if _is_deep(image):
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


def _npy_channels(array, channels):
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] != channels or 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape}, expected (height, width, {channels}) from `channels`")
    return array
