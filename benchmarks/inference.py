#!/usr/bin/env python3
"""Seconds of one translation, beside its peers, turn by turn: the Keras model, its exported SavedModel, PyTorch.

python benchmarks/inference.py --sizes 256 --torch-python ../torch-env/bin/python
"""

import os
import tempfile

from contest import cases, contest, contest_parser, peer, table, torch_programs


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
    return found | torch_programs(args, flags)


def main(args):
    for precision in args.precisions:
        with tempfile.TemporaryDirectory() as folder:
            exported = export(args, precision, os.path.join(folder, "model"))
            for title, flags in cases(args, precision):
                table(title, contest(programs(args, ["--mode", "infer", *flags], exported), args.steps))


if __name__ == "__main__":
    main(contest_parser(__doc__, size=256, steps=15).parse_args())
