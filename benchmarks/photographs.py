#!/usr/bin/env python3
"""ResNet against U-Net on photographs, with and without augmentation, for equal processor time.

    python benchmarks/photographs.py horse2zebra --features mobilenet_v2.keras --pictures runs/photographs

The folder holds `trainA`, `trainB`, `testA` and `testB`. A model is trained for as many steps as fit into `--seconds`
of processor time, which its first steps measure. The kernel distance to real photographs of the target domain stands
over the input's own; the change is the mean absolute difference of translation and input, on values in [-1, 1]: a model
that copies has none. A result that is in `--results` is not made again.
"""

import argparse
import functools
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
from emoji_error import Measure, add_shared_flags, all_drawings, grid, recorded, translations
from emoji_recipe import compile_to_decay, steps_within, trained

from tf_cyclegan import CycleGAN, load_dataset
from tf_cyclegan.data import images
from tf_cyclegan.training.devices import dtype_policy

UNET = {"generator_type": "unet", "downsamplings": 5, "upsampling": "resize", "full_size_skip": True}
AUGMENTED = {"augment": "color,translation,cutout"}
MODELS = {
    "ResNet": {"residual_blocks": 6},
    "ResNet, augmented": {"residual_blocks": 6, **AUGMENTED},
    "U-Net": UNET,
    "U-Net, augmented": {**UNET, **AUGMENTED},
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folder", help="folder of photographs")
    add_shared_flags(parser, "runs/photographs.jsonl")
    add("--models", nargs="+", default=list(MODELS), choices=MODELS, help="(all)")
    add("--image-size", type=int, default=128)
    add("--filters", type=int, default=32)
    add("--seconds", type=float, default=1200, help="of processor time (%(default)s)")
    add("--pictures", type=Path, help="folder to write a grid of each model to: inputs and translations")
    args = parser.parse_args()
    if not args.features:
        parser.error("--features must be a FILE.keras: photographs have no right answer, only a distance")
    return args


def main():
    args = arguments()
    measure = Measure(all_drawings(args.folder, "test", args.image_size), args.features)
    for name in args.models:
        for seed in args.seeds:
            key = {"model": name, "seed": seed, "seconds": args.seconds, "size": args.image_size}
            found = recorded(args.results, key, lambda name=name, seed=seed: result(args, name, seed, measure))
            print(name, seed, found, flush=True)


def result(args, name, seed, measure):
    prepare = functools.partial(prepared, args, name, seed)
    steps = steps_within(args.seconds, prepare)
    model, seconds = trained(prepare, steps)
    scores, columns = {}, []
    for direction in model.directions:
        source = measure.domains[direction[0]]
        output = translations(model, source, direction)
        distance, of_input = (
            measure.distance(features, direction[1])
            for features in (measure.features(output), measure.real[direction[0]])
        )
        scores[direction] = {"distance": distance / of_input, "change": float(abs(output - source).mean())}
        columns += [source, output]
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
        images.save_png(args.pictures / f"{name} {seed}.png", grid(columns, 8))
    return {"steps": steps, "processor_seconds": seconds, "scores": scores}


def prepared(args, name, seed, steps):
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    shape = (args.image_size, args.image_size, 3)
    model = CycleGAN(shape, filters=args.filters, seed=seed, dtype=dtype_policy(args.precision), **MODELS[name])
    compile_to_decay(model, 2e-4, steps)
    return model, load_dataset(args.folder, image_size=args.image_size, seed=seed).repeat()


if __name__ == "__main__":
    main()
