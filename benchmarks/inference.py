#!/usr/bin/env python3
"""Seconds of one translation, beside its peers, turn by turn: the Keras model, its exported SavedModel, PyTorch.

python benchmarks/inference.py --sizes 256 --torch-python ../torch-env/bin/python
"""

import argparse
import os
import tempfile

from contest import contest, peer, table


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256], help="pixels of a side")
    parser.add_argument("--batches", type=int, nargs="+", default=[1])
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--precisions", choices=["float32", "bfloat16"], nargs="+", default=["float32"])
    parser.add_argument("--steps", type=int, default=15, help="turns, after two of each that are not counted")
    parser.add_argument("--torch-python", help="Python of an environment with torch")
    parser.add_argument("--compiled", action="store_true", help="also torch.compile, which takes minutes to start")
    return parser.parse_args()


def export(args, precision, folder):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tf_cyclegan.export import export_saved_model
    from tf_cyclegan.networks import resnet_generator

    network = resnet_generator(filters=args.filters, residual_blocks=args.blocks)
    return export_saved_model(network, folder, precision=precision)


def programs(args, flags, exported):
    found = {"tf_cyclegan": peer(None, "ours.py", *flags)}
    found["tf_cyclegan, exported"] = peer(None, "ours.py", *flags, "--model", exported)
    found["Keras recipe"] = peer(None, "keras_recipe.py", *flags)
    if args.torch_python:
        found["PyTorch"] = peer(args.torch_python, "torch_cyclegan.py", *flags)
        if args.compiled:
            found["PyTorch compiled"] = [*found["PyTorch"], "--compile"]
    return found


def main(args):
    for precision in args.precisions:
        with tempfile.TemporaryDirectory() as folder:
            exported = export(args, precision, os.path.join(folder, "model"))
            for size in args.sizes:
                for batch in args.batches:
                    flags = ["--mode", "infer", "--size", size, "--batch", batch, "--precision", precision]
                    flags += ["--filters", args.filters, "--blocks", args.blocks]
                    title = f"{size} pixels, batch {batch}, {args.blocks} blocks, {args.filters} filters, {precision}"
                    table(title, contest(programs(args, flags, exported), args.steps))


if __name__ == "__main__":
    main(arguments())
