"""A SavedModel in a session of TensorFlow, loaded and run as TensorFlow Serving does."""

import contextlib
import itertools
import logging
import os

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.python.framework import op_def_registry  # nothing public knows the operations within functions

from tf_cyclegan.serving.errors import HTTP_STATUS, ServingError, invalid
from tf_cyclegan.serving.model_signatures import Signature, TensorInfo, leaves_traces

_log = logging.getLogger(__name__)
# TensorFlow's Python reads strings by an iterator of NumPy that has at most 32 dimensions, and ends the process beyond.
# Models may add dimensions to the ones of their inputs.
_MAX_STRING_RANK = 24
_TRACE_SECONDS = 60
_HANDLES = ("resource", "variant")
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


class Engine:
    """A version of a model, ready to run; safe to call from several threads.

    Args:
        path: folder with a `saved_model.pb` that has a graph tagged "serve".

    Raises:
        OSError: if there is no SavedModel.
        ValueError: if its variables are missing, as during a copy.
        Exception: TensorFlow's own, if the model cannot be restored.

    Example:
        >>> engine = Engine("exported/horse2zebra_ab/1")  # doctest: +SKIP
        >>> engine.run("uint8", {"image": images})["translated"]  # doctest: +SKIP
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with _quiet():
                meta_graph = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], self.path)
        except BaseException:
            self._session.close()
            raise
        self.signature_defs = {  # only the loader uses "__saved_model_init_op" and its like
            name: proto for name, proto in sorted(meta_graph.signature_def.items()) if not name.startswith("__")
        }
        self.signatures = {name: _signature(proto) for name, proto in self.signature_defs.items()}
        graph, op_def = meta_graph.graph_def, op_def_registry.get
        self._lasting = {name for name, proto in self.signature_defs.items() if leaves_traces(graph, proto, op_def)}
        for proto in self.signature_defs.values():
            _take_any_shape(self._session.graph, proto.inputs.values())

    def run(self, signature_name, inputs, timeout_seconds=None, outputs=None):
        """Runs a signature. As in TensorFlow Serving, the graph alone decides which shapes it takes.

        Args:
            signature_name: str, a key of `signatures`.
            inputs: dict, name of an input to its array; strings are object arrays of bytes.
            timeout_seconds: optional float, after which the computation is given up. Defaults to None.
            outputs: optional collection of names of outputs to compute. Defaults to all.

        Returns:
            dict, name of an output to its array.

        Raises:
            ServingError: if the inputs do not fit or the computation fails, with TensorFlow's code.
        """
        options = tf.compat.v1.RunOptions()
        if timeout_seconds is not None:
            options.timeout_in_ms = max(1, round(timeout_seconds * 1000))
        return self._run(signature_name, inputs, outputs, options)

    def peak_bytes(self, signature_name, inputs):
        """Measures the most memory that a run holds at once, as TensorFlow's allocator sees it.

        Args:
            signature_name: str, a key of `signatures`.
            inputs: dict, as `run` takes it.

        Returns:
            int, without the memory of other runs at the same time.

        Raises:
            ServingError: as `run`; also if the run takes minutes, or would change the model or a file
                (FAILED_PRECONDITION), as a training step does.
        """
        if signature_name in self._lasting:
            raise ServingError("FAILED_PRECONDITION", f"A run of {signature_name} may leave something changed")
        options = tf.compat.v1.RunOptions(
            trace_level=tf.compat.v1.RunOptions.FULL_TRACE, timeout_in_ms=_TRACE_SECONDS * 1000
        )
        metadata = tf.compat.v1.RunMetadata()
        self._run(signature_name, inputs, None, options, metadata)
        nodes = itertools.chain.from_iterable(device.node_stats for device in metadata.step_stats.dev_stats)
        memory = itertools.chain.from_iterable(node.memory for node in nodes)
        records = itertools.chain.from_iterable(found.allocation_records for found in memory)
        changes = sorted((record.alloc_micros, -record.alloc_bytes) for record in records)  # growth before release
        return max(itertools.accumulate(-change for _, change in changes), default=0)

    def _run(self, signature_name, inputs, outputs, options, metadata=None):
        proto = self.signature_defs.get(signature_name)
        if proto is None:
            raise invalid(f'Serving signature name: "{signature_name}" not found in signature def')
        feeds = _feeds(proto, self.signatures[signature_name].inputs, inputs)
        fetches = {name: proto.outputs[name].name for name in outputs or proto.outputs}
        for name in fetches:
            if (kind := self.signatures[signature_name].outputs[name].dtype) in _HANDLES:
                raise ServingError("UNIMPLEMENTED", f"Output {name} is of type {kind}, which no reply can hold")
        try:
            values = self._session.run(fetches, feeds, options=options, run_metadata=metadata)
        except tf.errors.OpError as error:
            raise _serving_error(error) from error
        except (TypeError, ValueError) as error:  # the session's own: the inputs do not fit
            raise invalid(str(error)) from error
        return {name: _array(value) for name, value in values.items()}

    def metadata(self):
        """Returns the signatures in the form of TensorFlow Serving's metadata reply.

        Returns:
            dict of the proto's fields by name, to be written as JSON.
        """
        return {name: _json(proto) for name, proto in self.signature_defs.items()}

    def replay_warmup(self):
        """Runs the requests in assets.extra, so that no client waits for the preparations of a first run.

        Returns:
            int, the requests that were run.

        Raises:
            ServingError: if one fails; TensorFlow Serving would not load such a version.
        """
        path = os.path.join(self.path, WARMUP_FILE)
        if not os.path.exists(path):
            return 0
        try:
            from tensorflow_serving.apis import prediction_log_pb2
        except ImportError:
            _log.warning("The warmup of %s is skipped: reading it needs tensorflow-serving-api.", self.path)
            return 0
        count = 0
        with _quiet():
            records = list(tf.compat.v1.io.tf_record_iterator(path))
        for data in records:
            log = prediction_log_pb2.PredictionLog.FromString(data)
            if log.WhichOneof("log_type") == "predict_log":
                request = log.predict_log.request
                inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
                self.run(request.model_spec.signature_name or "serving_default", inputs)
                count += 1
        return count

    def close(self):
        """Frees the model and gives up runs that have not ended."""
        self._session.close()


def _signature(proto):
    return Signature(_tensors(proto.inputs), _tensors(proto.outputs), proto.method_name)


def _tensors(protos):
    return {name: _tensor_info(proto) for name, proto in sorted(protos.items())}


def _tensor_info(proto):
    shape = tf.TensorShape(proto.tensor_shape)
    return TensorInfo(tf.as_dtype(proto.dtype).name, None if shape.rank is None else tuple(shape.as_list()))


def _take_any_shape(graph, infos):
    """Keeps `Session.run` from comparing the shape of an input with the shape of its tensor.

    TensorFlow Serving calls the runtime below Python's session, which leaves shapes to the operations. They take more
    than a signature says: its own example half_plus_two says [-1, 1] and documents [3].
    """
    for info in infos:
        with contextlib.suppress(KeyError, ValueError):  # a sparse tensor has no name of its own
            graph.get_tensor_by_name(info.name).get_shape = _unknown_shape


def _unknown_shape():
    return tf.TensorShape(None)


def _feeds(proto, expected, inputs):
    """The feeds of the session: the name of each tensor and its value."""
    inputs = {**{name: tf.make_ndarray(value) for name, value in proto.defaults.items()}, **inputs}
    if set(expected) != set(inputs):
        raise invalid(f"Expected inputs {sorted(expected)} but got: {sorted(inputs)}")
    for name, value in inputs.items():
        _check_type(name, np.asarray(value), expected[name].dtype)
    feeds = {proto.inputs[name].name: value for name, value in inputs.items()}
    if len(feeds) < len(inputs):
        raise invalid(f"The inputs {sorted(inputs)} are {len(feeds)} tensors. Expected: a tensor for each")
    return feeds


def _check_type(name, value, expected):
    """Refuses an input of another type, which the session would convert: 1.5 to 1."""
    if expected in _HANDLES:
        raise ServingError("UNIMPLEMENTED", f"Input {name} is of type {expected}, which no request can hold")
    found = "string" if value.dtype.kind in "OSU" else value.dtype.name
    if found != expected:
        raise invalid(f"Input {name} must be of type {expected} but got: {found}")
    if found == "string" and value.ndim > _MAX_STRING_RANK:
        raise invalid(f"Input {name} has {value.ndim} dimensions. Expected of strings at most: {_MAX_STRING_RANK}")


def _serving_error(error):
    """The runtime's own error; the session's error around it has stack traces of the server."""
    bare = error.__context__ if isinstance(error.__context__, tf.errors.OpError) else error
    codes = list(HTTP_STATUS)
    code = codes[error.error_code - 1] if 1 <= error.error_code <= len(codes) else "UNKNOWN"
    return ServingError(code, bare.message)


def _json(proto):
    return json_format.MessageToDict(proto, always_print_fields_with_no_presence=True, preserving_proto_field_name=True)


def _array(value):
    """An output as an array. A scalar string comes as bytes, of which NumPy would cut trailing zeros."""
    return np.asarray(value, dtype=object if isinstance(value, bytes) else None)


@contextlib.contextmanager
def _quiet():
    """Holds back TensorFlow's notes that these functions, which TensorFlow Serving uses too, are deprecated."""
    level = tf.get_logger().level
    tf.get_logger().setLevel(logging.ERROR)
    try:
        yield
    finally:
        tf.get_logger().setLevel(level)
