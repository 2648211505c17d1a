"""Warmup: the slow first requests, which TensorFlow Serving runs before a version answers others."""

import os

import numpy as np
import tensorflow as tf

from tf_cyclegan.serving.engine import WARMUP_FILE

# The size that most networks are trained for.
_SIDE = 256


def write_warmup(path, name, functions, min_side, level=128):
    """Writes a request for each signature into a SavedModel.

    Args:
        path: folder of the SavedModel.
        name: str, the name that the model is served by.
        functions: dict, names of signatures to `tf.function`s with an input signature.
        min_side: int, the smallest height and width of an image, in pixels.
        level: int from 0 to 255, the value of each pixel; for networks that take label maps it is a class. Defaults to
            128, gray.

    Returns:
        bool, whether the requests were written: they need the package tensorflow-serving-api, of the extra `export`.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError:
        return False
    file = os.path.join(path, WARMUP_FILE)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    with tf.io.TFRecordWriter(file) as writer:
        for signature_name, function in functions.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, signature_name
            spec = function.input_signature[0]
            request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(_example(spec, max(_SIDE, min_side), level)))
            writer.write(log.SerializeToString())
    return True


def _example(spec, side, level):
    """A batch that fits an input's specification: one image, all pixels of one level."""
    if spec.dtype == tf.string:
        return [tf.io.encode_png(np.full((side, side, 1), level, np.uint8)).numpy()]
    batch, height, width, channels = spec.shape
    value = level / 127.5 - 1 if spec.dtype == tf.float32 else level
    return np.full((batch or 1, height or side, width or side, channels), value, spec.dtype.as_numpy_dtype)
