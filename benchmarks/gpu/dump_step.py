#!/usr/bin/env python3
"""Writes CycleGAN's training step, as TensorFlow hands it to XLA, into a folder for the other programs here.

    python benchmarks/gpu/dump_step.py FOLDER --size 256 --dtype mixed_bfloat16

The folder gets `program.vhlo.gz`, StableHLO that any jaxlib reads; `manifest.json`, the parameters and results in their
order; `stored.npz`, first values that no rule makes; and with `--expect N` `expected.npz`, the losses of N steps by
TensorFlow on this CPU and what they left in the variables.
"""

import argparse
import gc
import gzip
import json
import re
import zlib
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from step_state import first_value, images_of, sampled
from tensorflow.compiler.mlir.stablehlo import stablehlo
from tensorflow.python.eager.polymorphic_function import compiler_ir
from tensorflow.python.ops.resource_variable_ops import BaseResourceVariable

from tf_cyclegan.models import CycleGAN
from tf_cyclegan.networks.layers import runtime

# Every StableHLO of the last years reads it.
_VERSION = "1.0.0"
_DTYPES = {"float32": "f32", "int64": "i64", "int32": "i32", "uint32": "ui32", "bool": "i1"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--expect", type=int, default=0, help="steps that TensorFlow runs for comparison")
    return parser.parse_args()


def as_with_gpu():
    """Has the package choose as it does where TensorFlow sees a GPU."""
    runtime.does_the_computing = runtime.convolves_with_eigen = lambda: False


def new_model(args):
    shape = (args.size, args.size, 3)
    settings = {"filters": args.filters, "residual_blocks": args.blocks, "discriminator_filters": args.filters}
    model = CycleGAN(shape, **settings, seed=1, dtype=args.dtype)
    model.compile(jit_compile=True)
    return model


def captured_variables(concrete):
    """The variables that a function takes, in the order of its parameters."""
    found = {v.handle._id: v for v in gc.get_objects() if isinstance(v, BaseResourceVariable)}
    return [found[tensor._id] for tensor in concrete.captured_inputs]


def entry(index, variable):
    name, value = f"{index} {variable.name.removesuffix(':0')}", variable.numpy()
    rule = "stored" if value.any() else "zeros"
    rule = zlib.crc32(name.encode()) if rule == "stored" and name.endswith("/kernel") else rule
    return {"name": name, "shape": list(value.shape), "dtype": value.dtype.name, "rule": rule}


def as_stablehlo(text):
    """`(StableHLO alone, {result: parameter that it updates})`: TensorFlow leaves attributes of its own."""
    found = re.findall(r"parameter_number = (\d+) : i64\}, output_index = array<i64: (\d+)>", text.split("{\n", 1)[0])
    text = re.sub(r"mhlo\.copy (%\S+) : (tensor<[^>]*>)", r"stablehlo.reshape \1 : (\2) -> \2", text)
    # Locations are three quarters of it.
    text = re.sub(r" loc\((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*\)", "", text)
    text = re.sub(r"(?m)^#loc.*\n", "", text)
    text = re.sub(r"module @\S+ attributes \{.*\} \{\n", "module @program {\n", text, count=1)
    return text, {int(result): int(parameter) for parameter, result in found}


def check_parameters(text, entries):
    signature = re.search(r"func\.func @main\((.*?)\) -> ", text)[1]
    expected = ["x".join([*map(str, e["shape"]), _DTYPES[e["dtype"]]]) for e in entries]
    found = re.findall(r"%arg\d+: tensor<([^>]*)>", signature)
    if found != expected:
        raise SystemExit("The program's parameters are not the variables that its function captures.")


def results(concrete, updates):
    """For each result of the program the name of a loss, or the number of the parameter that it updates."""
    losses = iter(sorted(concrete.structured_outputs))
    count = len(concrete.structured_outputs) + len(updates)
    return [updates[i] if i in updates else next(losses) for i in range(count)]


def expected(steps, step, variables, entries, shape, stored):
    """What TensorFlow, without XLA, makes of the first values and images that the other programs remake."""
    for variable, made in zip(variables, entries, strict=True):
        variable.assign(first_value(made, stored))
    losses = [step(*(tf.constant(images_of(i, domain, shape)) for domain in range(2))) for i in range(steps)]
    kept = {f"loss/{name}": [float(loss[name]) for loss in losses] for name in losses[0]}
    return kept | {e["name"]: sampled(v.numpy()) for e, v in zip(entries, variables, strict=True)}


def main(args):
    as_with_gpu()
    keras.utils.set_random_seed(1)
    model, spec = new_model(args), tf.TensorSpec((args.batch, args.size, args.size, 3))

    def step(a, b):
        return model.train_step((a, b))

    concrete = tf.function(step, jit_compile=True, autograph=False).get_concrete_function(spec, spec)
    variables = captured_variables(concrete)
    entries = [entry(index, variable) for index, variable in enumerate(variables)]
    text, updates = as_stablehlo(compiler_ir.from_concrete_function(concrete)(stage="stablehlo"))
    images = [{"name": f"image_{d}", "shape": list(spec.shape), "dtype": "float32"} for d in "ab"]
    check_parameters(text, [*images, *entries])
    stored = {e["name"]: v.numpy() for e, v in zip(entries, variables, strict=True) if e["rule"] == "stored"}
    manifest = {"settings": vars(args) | {"folder": args.folder.name}, "images": images, "variables": entries}
    manifest |= {"results": results(concrete, updates), "steps": args.expect}

    args.folder.mkdir(parents=True, exist_ok=True)
    program = stablehlo.serialize_portable_artifact_str(text, _VERSION)
    (args.folder / "program.vhlo.gz").write_bytes(gzip.compress(program))
    (args.folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    np.savez_compressed(args.folder / "stored.npz", **stored)
    print(f"{len(program) / 1e6:.2f} MB of StableHLO, {len(entries)} variables, {len(manifest['results'])} results")
    if args.expect:
        plain = tf.function(step, autograph=False)
        values = expected(args.expect, plain, variables, entries, spec.shape, stored)
        np.savez_compressed(args.folder / "expected.npz", **values)


if __name__ == "__main__":
    main(arguments())
