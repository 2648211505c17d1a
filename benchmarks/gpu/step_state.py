"""First values of a step's variables and test images, the same wherever they are made. NumPy alone."""

import numpy as np


def first_value(entry, stored):
    """The first value of a manifest's parameter: stored, or made by its rule."""
    shape, rule = tuple(entry["shape"]), entry["rule"]
    if rule == "zeros":
        return np.zeros(shape, entry["dtype"])
    if rule == "stored":
        return np.asarray(stored[entry["name"]])
    return np.random.default_rng(rule).standard_normal(shape, dtype=np.float32) * np.float32(0.02)


def images_of(step, domain, shape):
    """Random images of a step in [-1, 1], smooth enough for losses to mean something."""
    batch, height, width, channels = shape
    rng = np.random.default_rng([step, domain])
    small = rng.random((batch, height // 4, width // 4, channels), dtype=np.float32)
    noise = rng.random((batch, height, width, channels), dtype=np.float32)
    return np.float32(1.6) * np.repeat(np.repeat(small, 4, 1), 4, 2) + np.float32(0.4) * noise - np.float32(1)


def sampled(array, count=2048):
    """At most `count` entries of an array, always the same ones for its size."""
    flat = np.asarray(array).reshape(-1)
    if flat.size <= count:
        return flat
    return flat[np.sort(np.random.default_rng(flat.size).choice(flat.size, count, replace=False))]
