"""3x3 convolutions by Winograd's F(4x4, 3x3): 36 multiplications in the place of 144 for 16 pixels.

A filter of three weights over four pixels multiplies two polynomials, whose product is known from its values at six
points. So tiles of 6x6 pixels and filters of 3x3 weights become values at 6x6 points, each by one product with a
constant. Every point then is a matrix product of its own, and its results become tiles of 4x4 pixels.
"""

import numpy as np
import tensorflow as tf

from tf_cyclegan.networks.layers.runtime import once_a_shape

_TILE = 4
_REACH = 3
_POINTS = _TILE + _REACH - 1
# With these, and infinity, float32 loses half of the digits that it loses with 0, 1, -1, 2 and -2.
_FINITE = (0, 2**0.5, -(2**0.5), 0.5**0.5, -(0.5**0.5))
# A point's place in a tile is 4 * shift + offset. Tiles overlap by two pixels, which are the next tile's first.
_SHIFTS = ((0, 0), (0, 1), (1, 0), (1, 1))
_OFFSETS = (_TILE, _POINTS - _TILE)


def _values(terms):
    """The matrix that gives a polynomial's values at the points, `(points, terms)`."""
    return np.vstack([np.vander(_FINITE, terms, increasing=True), np.eye(terms)[-1:]])


def _in_order_of_shifts(matrix):
    """Columns of a matrix of 6x6 places, row by row, in the order of `_SHIFTS`."""
    order = np.arange(_POINTS**2).reshape(_POINTS, _POINTS)
    pieces = [order[_TILE * row :, _TILE * column :][:_TILE, :_TILE].ravel() for row, column in _SHIFTS]
    return matrix[:, np.concatenate(pieces)]


_OF_FILTERS = np.kron(_values(_REACH), _values(_REACH))
_TO_PIXELS = np.kron(_values(_TILE), _values(_TILE)).T
_OF_TILES = np.linalg.inv(_values(_POINTS)).T
_OF_TILES = _in_order_of_shifts(np.kron(_OF_TILES, _OF_TILES))


def convolution(x, kernel):
    """What `tf.nn.conv2d(x, kernel, 1, "VALID")` computes.

    Args:
        x: float tensor `(batch, height, width, channels)`, height and width known.
        kernel: float tensor `(3, 3, channels, filters)`.

    Returns:
        Float tensor `(batch, height - 2, width - 2, filters)`.
    """
    return _convolution(x, kernel)


@tf.custom_gradient
def _convolution(x, kernel):
    return _forward(x, kernel), lambda dy: _gradients(x, kernel, dy)


@once_a_shape(inline=False)
def _forward(x, kernel):
    height, width = (side - _REACH + 1 for side in x.shape[1:3])
    return _pixels(tf.matmul(_points_of_tiles(x), _points_of_filters(kernel)), height, width)


@once_a_shape(inline=False)
def _gradients(x, kernel, dy):
    # The tiles are made again: kept from the forward pass they would take more than twice the memory of x.
    values = _points_of_pixels(dy)
    dx = _tiles_added(tf.matmul(values, _points_of_filters(kernel), transpose_b=True), *x.shape[1:3])
    dk = _product(_OF_FILTERS.T, tf.matmul(_points_of_tiles(x), values, transpose_a=True))
    return dx, tf.reshape(dk, kernel.shape)


def _product(constant, tensor):
    """Of a constant matrix and a tensor as a matrix of as many rows as the constant has columns."""
    return tf.matmul(tf.constant(constant, tensor.dtype), tf.reshape(tensor, [constant.shape[1], -1]))


def _points_of_filters(kernel):
    return tf.reshape(_product(_OF_FILTERS, kernel), [_POINTS**2, *kernel.shape[2:]])


def _points_of_tiles(x):
    """`(points, tiles, channels)` of images."""
    rows, columns = _counts(x.shape[1] - 2, x.shape[2] - 2)
    planes = _planes(_padded(x, rows + 1, columns + 1), rows + 1, columns + 1)
    pieces = []
    for down, right in _SHIFTS:
        piece = planes[: _OFFSETS[down], : _OFFSETS[right], :, down : down + rows, right : right + columns]
        pieces.append(tf.reshape(piece, [_OFFSETS[down] * _OFFSETS[right], -1]))
    return tf.reshape(_product(_OF_TILES, tf.concat(pieces, axis=0)), [_POINTS**2, -1, x.shape[3]])


def _tiles_added(values, height, width):
    """The transpose of `_points_of_tiles`: images from `(points, tiles, channels)`."""
    rows, columns = _counts(height - 2, width - 2)
    sizes = [_OFFSETS[down] * _OFFSETS[right] for down, right in _SHIFTS]
    planes = []
    for piece, (down, right) in zip(tf.split(_product(_OF_TILES.T, values), sizes), _SHIFTS, strict=True):
        shape = [_OFFSETS[down], _OFFSETS[right], -1, rows, columns, values.shape[2]]
        absent = [[0, _TILE - shape[0]], [0, _TILE - shape[1]]]
        planes.append(tf.pad(tf.reshape(piece, shape), [*absent, [0, 0], [down, 1 - down], [right, 1 - right], [0, 0]]))
    return _images(tf.add_n(planes), height, width)


def _pixels(values, height, width):
    """Images from values at the points, `(points, tiles, filters)`."""
    rows, columns = _counts(height, width)
    planes = _product(_TO_PIXELS, values)
    return _images(tf.reshape(planes, [_TILE, _TILE, -1, rows, columns, values.shape[2]]), height, width)


def _points_of_pixels(dy):
    """The transpose of `_pixels`."""
    rows, columns = _counts(*dy.shape[1:3])
    planes = _planes(_padded(dy, rows, columns), rows, columns)
    return tf.reshape(_product(_TO_PIXELS.T, planes), [_POINTS**2, -1, dy.shape[3]])


def _counts(height, width):
    """Tiles in rows and in columns."""
    return -(-height // _TILE), -(-width // _TILE)


def _padded(images, rows, columns):
    bottom, right = _TILE * rows - images.shape[1], _TILE * columns - images.shape[2]
    return tf.pad(images, [[0, 0], [0, bottom], [0, right], [0, 0]]) if bottom or right else images


def _planes(images, rows, columns):
    """`(4, 4, batch, rows, columns, channels)`: a pixel's place in its tile, then the tile's."""
    tiles = tf.reshape(images, [-1, rows, _TILE, columns, _TILE, images.shape[3]])
    return tf.transpose(tiles, [2, 4, 0, 1, 3, 5])


def _images(planes, height, width):
    """Undoes `_planes` and crops."""
    rows, columns, channels = planes.shape[3:]
    tiles = tf.transpose(planes, [2, 3, 0, 4, 1, 5])
    images = tf.reshape(tiles, [-1, _TILE * rows, _TILE * columns, channels])
    whole = (height, width) == (_TILE * rows, _TILE * columns)
    return images if whole else tf.slice(images, [0, 0, 0, 0], [-1, height, width, channels])
