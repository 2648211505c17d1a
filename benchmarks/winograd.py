#!/usr/bin/env python3
"""Winograd's convolutions beside TensorFlow's, one layer at a time, in turns: time, its parts, and error.

    python benchmarks/winograd.py --sides 64 --channels 256 --precision float32 --threads 1

The first table has F(2x2, 3x3) and F(4x4, 3x3) with each way to cut an image into tiles, forward. The second has
`winograd_layer.py`, which has gradients of its own, forward and with both gradients, and the error of each against
float64. The third has the parts of the layer's own. The precision `products` is float32 with products in bfloat16.
`TF_ENABLE_ONEDNN_OPTS=0` before the command takes Eigen's kernels.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
import winograd_layer

ROOT = 2**0.5
FINITE = {2: (0, 1, -1), 4: (0, ROOT, -ROOT, 1 / ROOT, -1 / ROOT)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[64], help="pixels of a side of the result")
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", choices=["float32", "bfloat16", "products"], default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--xla", action="store_true")
    return parser.parse_args()


def plain(x, kernel):
    return tf.nn.conv2d(x, kernel, 1, "VALID")


def values(tile, terms):
    """The matrix that gives a polynomial's values at the points of F(tile, 3)."""
    return np.vstack([np.vander(FINITE[tile], terms, increasing=True), np.eye(terms)[-1:]])


def product(matrix, tensor):
    """Of a square's matrix for both axes and a tensor `(places, ...)`."""
    both = np.kron(matrix, matrix)
    return tf.matmul(tf.constant(both, tensor.dtype), tf.reshape(tensor, [both.shape[1], -1]))


def strided(x, tile, count):
    """`(places, batch, rows, columns, channels)` of tiles: every place is a strided slice."""
    last = tile * (count - 1) + 1
    places = [(row, column) for row in range(tile + 2) for column in range(tile + 2)]
    return tf.stack([x[:, row : row + last : tile, column : column + last : tile] for row, column in places])


def planes(x, tile, count):
    """The same by one transposition, then slices without strides."""
    side = tile * (count + 1)
    x = tf.pad(x, [[0, 0], *[[0, side - x.shape[1]]] * 2, [0, 0]])
    x = tf.transpose(tf.reshape(x, [-1, count + 1, tile, count + 1, tile, x.shape[3]]), [2, 4, 0, 1, 3, 5])
    places = [(divmod(row, tile), divmod(column, tile)) for row in range(tile + 2) for column in range(tile + 2)]
    return tf.stack([x[i, j, :, down : down + count, right : right + count] for (down, i), (right, j) in places])


def patches(x, tile, count):
    """The same by `extract_patches` and a transposition."""
    found = tf.image.extract_patches(x, [1, tile + 2, tile + 2, 1], [1, tile, tile, 1], [1] * 4, "VALID")
    return tf.transpose(tf.reshape(found, [-1, (tile + 2) ** 2, x.shape[3]]), [1, 0, 2])


def sums(matrix, parts):
    """The rows of a matrix as sums of parts, without the zeros."""
    return [sum(float(weight) * part for weight, part in zip(row, parts, strict=True) if weight) for row in matrix]


def additions(x, tile, count):
    """The points themselves, by slices and sums: no product."""
    last, matrix = tile * (count - 1) + 1, np.linalg.inv(values(tile, tile + 2)).T.round(12)
    rows = sums(matrix, [x[:, row : row + last : tile] for row in range(tile + 2)])
    return tf.stack(
        [each for row in rows for each in sums(matrix, [row[:, :, c : c + last : tile] for c in range(tile + 2)])]
    )


def forward(tile, cut, narrow):
    """A convolution by F(tile, 3) of images that are whole tiles."""

    def convolve(x, kernel):
        count = (x.shape[1] - 2) // tile
        tiles = cut(x, tile, count)
        if cut is not additions:
            tiles = product(np.linalg.inv(values(tile, tile + 2)).T, tiles)
        points = tf.reshape(tiles, [(tile + 2) ** 2, -1, x.shape[3]])
        filters = tf.reshape(product(values(tile, 3), kernel), [(tile + 2) ** 2, *kernel.shape[2:]])
        pixels = product(values(tile, tile).T, matmul(points, filters, narrow))
        pixels = tf.reshape(pixels, [tile, tile, -1, count, count, kernel.shape[3]])
        return tf.reshape(tf.transpose(pixels, [2, 3, 0, 4, 1, 5]), [x.shape[0], *[tile * count] * 2, kernel.shape[3]])

    return convolve


def matmul(a, b, narrow):
    return tf.cast(tf.matmul(tf.cast(a, "bfloat16"), tf.cast(b, "bfloat16")), a.dtype) if narrow else tf.matmul(a, b)


def with_gradients(convolve):
    def run(x, kernel, dy):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            y = convolve(x, kernel)
        return y, *tape.gradient(y, (x, kernel), dy)

    return run


def table(args, title, cases, exact=None):
    """Runs functions in turn and prints seconds, the ratio to the first and errors; `cases` maps names to calls."""
    calls = {name: (tf.function(run, autograph=False, jit_compile=args.xla), inputs) for name, (run, *inputs) in cases}
    for call, inputs in calls.values():
        call(*inputs), call(*inputs)
    times = {name: [] for name in calls}
    for _ in range(args.turns):
        for name, (call, inputs) in calls.items():
            start = time.perf_counter()
            call(*inputs)
            times[name].append(time.perf_counter() - start)
    print(f"\n{title}\n{'':26}{'median ms':>10}{'min ms':>9}{'of first':>10}  relative error")
    first = next(iter(times.values()))
    for name, (call, inputs) in calls.items():
        ratio = statistics.median(own / one for own, one in zip(times[name], first, strict=True))
        errors = apart(call(*inputs), exact) if exact else ""
        row = f"{1e3 * statistics.median(times[name]):10.2f}{1e3 * min(times[name]):9.2f}{ratio:10.2f}"
        print(f"{name:26}{row}  {errors}", flush=True)


def apart(answers, exact):
    answers = answers if isinstance(answers, list | tuple) else [answers]
    far = [tf.norm(tf.cast(a, "float64") - b) / tf.norm(b) for a, b in zip(answers, exact, strict=False)]
    return " ".join(f"{float(each):.1e}" for each in far)


def parts(x, kernel, dy):
    """The parts of the layer's own form, with what they get."""
    height, width = dy.shape[1:3]
    tiles, filters = winograd_layer._points_of_tiles(x), winograd_layer._points_of_filters(kernel)
    pixels, results = winograd_layer._points_of_pixels(dy), tf.matmul(tiles, filters)
    yield "conv2d, forward", (plain, x, kernel)
    yield "filters to points", (winograd_layer._points_of_filters, kernel)
    yield "tiles to points", (winograd_layer._points_of_tiles, x)
    yield "products, forward", (tf.matmul, tiles, filters)
    yield "points to pixels", (lambda points: winograd_layer._pixels(points, height, width), results)
    yield "gradient to points", (winograd_layer._points_of_pixels, dy)
    yield "products, to tiles", (lambda a, b: tf.matmul(a, b, transpose_b=True), pixels, filters)
    yield "points to tiles, added", (lambda points: winograd_layer._tiles_added(points, height + 2, width + 2), tiles)
    yield "products, to filters", (lambda a, b: tf.matmul(a, b, transpose_a=True), tiles, pixels)


def main(args):
    dtype = "bfloat16" if args.precision == "bfloat16" else "float32"
    for side in args.sides:
        shapes = (args.batch, side + 2, side + 2, args.channels), (3, 3, args.channels, args.channels)
        shapes += ((args.batch, side, side, args.channels),)
        wide = [tf.random.stateless_normal(shape, (0, seed), dtype="float64") for seed, shape in enumerate(shapes)]
        exact, (x, kernel, dy) = with_gradients(plain)(*wide), (tf.cast(each, dtype) for each in wide)
        cases = [("conv2d", (plain, x, kernel))]
        for tile in FINITE:
            for cut in (planes, strided, patches, additions):
                convolve = forward(tile, cut, args.precision == "products")
                cases.append((f"F({tile}x{tile}, 3x3), {cut.__name__}", (convolve, x, kernel)))
        title = f"{side}x{side}x{args.channels}, batch {args.batch}, {args.precision}, {args.threads} threads"
        table(args, f"{title}: forward", cases, exact)
        both = {"conv2d": plain, "the layer's": winograd_layer.convolution}
        table(args, "forward", [(name, (each, x, kernel)) for name, each in both.items()], exact)
        cases = [(name, (with_gradients(each), x, kernel, dy)) for name, each in both.items()]
        table(args, "with both gradients", cases, exact)
        table(args, "parts", parts(x, kernel, dy))


if __name__ == "__main__":
    settings = arguments()
    tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    main(settings)
