"""Weights made from their names, for networks whose published weights are too large for a test."""

import ast
import zlib

import numpy as np


def state_of_names(lines):
    """State dict of lines as `"features.0.0.weight (32, 3, 3, 3)"`, float32."""
    pairs = (line.split(" ", 1) for line in lines)
    return {name: _values(name, ast.literal_eval(shape)).astype("float32") for name, shape in pairs}


def _values(name, shape):
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape)
    if len(shape) > 1:
        return random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    offset = 1 if name.endswith("weight") else 0
    return np.asarray(offset + 0.1 * random.standard_normal(shape))
