#!/usr/bin/env python3
"""One large image, translated whole, in strips and in tiles: memory, time, and how far the ways are apart.

python benchmarks/large_image.py --size 2048 --ways image tile whole
python benchmarks/large_image.py --size 8192 --ways image

Each way is the command `translate` in a process of its own, on the same picture with the same fresh weights. `image`
and `tile` are the statistics of `--tile`, `whole` is the command without it. Processor time and the peak of resident
memory are what the system has on record for that process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

FLAGS = {"whole": [], "image": ["--tile"], "tile": ["--tile", "--tile-statistics=tile"]}
_ROWS = 256
_BLOCK = 32


def picture(size):
    """Noise of three scales under a sky that grows lighter: a picture whose parts differ, as photographs' do."""
    random = np.random.RandomState(0)
    image = Image.linear_gradient("L").resize((size, size)).convert("RGB")
    for side in (8, 128, size):
        noise = random.randint(0, 256, (side, side, 3), np.uint8)
        image = Image.blend(image, Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC), 0.3)
    return image


def save_model(path, filters, blocks):
    # In a process of its own: TensorFlow's memory is none of this program's.
    code = (
        "import sys, keras\n"
        "from tf_cyclegan.models.pretrained import PretrainedGenerator\n"
        "from tf_cyclegan.networks import resnet_generator\n"
        "keras.utils.set_random_seed(0)\n"
        f"network = resnet_generator(filters={filters}, residual_blocks={blocks})\n"
        "PretrainedGenerator(network).save(sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def translate(model, image, output, flags):
    """Runs the command; returns peak memory in GB, processor and wall-clock seconds."""
    command = [sys.executable, "-m", "tf_cyclegan", "translate", str(model), str(image), "-o", str(output), *flags]
    began = time.time()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return kilobytes * 1024 / 1e9, usage.ru_utime + usage.ru_stime, time.time() - began


def distance(one, other):
    """Largest and mean difference of two translations, a few rows at a time."""
    first, second = (np.load(path, mmap_mode="r") for path in (one, other))
    rows = range(0, len(first), _ROWS)
    parts = [np.abs(first[row : row + _ROWS] - second[row : row + _ROWS]) for row in rows]
    return max(part.max() for part in parts), sum(part.sum(dtype=np.float64) for part in parts) / first.size


def seam(tiled, whole, size, overlap, multiple=4):
    """How far the error of tiles drifts from above a seam to below it, and over the same distance inside of tiles.

    Means of blocks of 32 columns and 16 rows: a seam shows as a change of color, whatever the detail.
    """
    from tf_cyclegan.inference.pieces import spans

    error = np.load(tiled, mmap_mode="r") - np.load(whole, mmap_mode="r")
    columns = error.shape[1] // _BLOCK * _BLOCK
    blocks = error[:, :columns].reshape(len(error), -1, _BLOCK, error.shape[2]).mean(2)

    def drift(row, reach):
        above, below = (blocks[first : first + 16].mean(0) for first in (row - reach - 16, row + reach))
        return np.abs(below - above).mean()

    found = spans(len(error), size, overlap, multiple)
    pairs = list(zip(found, found[1:], strict=False))
    seams = [drift((start + stop) // 2, (stop - start + 1) // 2) for (_, stop), (start, _) in pairs]
    alone = zip([0, *(stop for _, stop in found)], [*(start for start, _ in found[1:]), len(error)], strict=False)
    # The last tile is laid over the one before where the image ends: between them little may be left.
    middles = [(first + last) // 2 for first, last in alone if last - first >= overlap + 32]
    return np.mean(seams or 0), np.mean([drift(middle, overlap // 2) for middle in middles] or 0)


def main(args):
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        folder = Path(folder)
        drawn = Image.open(args.picture).convert("RGB").resize((args.size, args.size)) if args.picture else None
        (drawn or picture(args.size)).save(folder / "picture.png", compress_level=1)
        model = Path(args.model) if args.model else folder / "model.keras"
        if not args.model:
            save_model(model, args.filters, args.blocks)
        title = f"{args.size}x{args.size} pixels, {args.model or f'{args.filters} filters, {args.blocks} blocks'}"
        print(f"{title}\n{'way':8}{'peak GB':>9}{'processor s':>13}{'wall s':>9}", flush=True)
        # Floats where there is something to compare, else what people want of a large image.
        suffix = ".npy" if len(args.ways) > 1 else ".png"
        tiles = [f"--tile-size={args.tile_size}", f"--tile-overlap={args.tile_overlap}"]
        for way in args.ways:
            flags = [*FLAGS[way], *(tiles if way == "tile" else [])]
            used = translate(model, folder / "picture.png", folder / (way + suffix), flags)
            print("{:8}{:9.2f}{:13.0f}{:9.0f}".format(way, *used), flush=True)
        compare(folder, args)


def compare(folder, args):
    for i, one in enumerate(args.ways):
        for other in args.ways[i + 1 :]:
            largest, mean = distance(folder / f"{one}.npy", folder / f"{other}.npy")
            print(f"{one} and {other} differ by at most {largest:.1e}, {mean:.1e} in the mean")
    wholes = [way for way in args.ways if way != "tile"]
    if "tile" in args.ways and wholes:
        at, inside = seam(folder / "tile.npy", folder / f"{wholes[0]}.npy", args.tile_size, args.tile_overlap)
        print(f"color drifts by {at:.1e} across the seams of tiles, by {inside:.1e} over as many rows inside them")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--ways", nargs="+", choices=FLAGS, default=["image", "tile", "whole"])
    parser.add_argument("--tile-size", type=int, default=512)
    parser.add_argument("--tile-overlap", type=int, default=64)
    parser.add_argument("--model", help="trained model, in the place of fresh weights")
    parser.add_argument("--picture", help="image file, in the place of noise; it is resized")
    parser.add_argument("--folder", help="where picture, model, results and scratch files are meanwhile")
    main(parser.parse_args())
