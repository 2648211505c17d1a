"""A SavedModel in a session, loaded and run as TensorFlow Serving does. The only file that needs TensorFlow."""

import contextlib
import itertools
import logging
import os

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.python.framework import op_def_registry  # of operations within functions nothing public tells

from tf_cyclegan.serving.errors import HTTP_STATUS, ServingError, invalid
from tf_cyclegan.serving.model_signatures import Signature, TensorInfo, leaves_traces

_log = logging.getLogger(__name__)
# TensorFlow's Python goes through strings by an iterator of NumPy's that has no more than 32 dimensions, and ends the
# process where there are more. Models may add some to those of their inputs.
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
        ValueError: if its variables are missing, as while it is being copied.
        Exception: TensorFlow's own, where the model cannot be restored.

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
        self.signature_defs = {  # "__saved_model_init_op" and its like are of the loader, nobody calls them
            name: proto for name, proto in sorted(meta_graph.signature_def.items()) if not name.startswith("__")
        }
        self.signatures = {name: _signature(proto) for name, proto in self.signature_defs.items()}
        graph, op_def = meta_graph.graph_def, op_def_registry.get
        self._lasting = {name for name, proto in self.signature_defs.items() if leaves_traces(graph, proto, op_def)}
        for proto in self.signature_defs.values():
            _take_any_shape(self._session.graph, proto.inputs.values())

    def run(self, signature_name, inputs, timeout_seconds=None, outputs=None):
        """Computes a signature. Shapes are the graph's matter: TensorFlow Serving does not compare them either.

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
        """The most memory that a computation holds at once, as TensorFlow's allocator sees it.

        Args:
            signature_name: str, a key of `signatures`.
            inputs: as of `run`.

        Returns:
            int. What others compute at the same time is not in it.

        Raises:
            ServingError: as `run`; if the computation takes minutes, or would change the model or a file
                (FAILED_PRECONDITION), as a step of training does.
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
        except (TypeError, ValueError) as error:  # of the session itself: what was fed does not fit
            raise invalid(str(error)) from error
        return {name: _array(value) for name, value in values.items()}

    def metadata(self):
        """The signatures as TensorFlow Serving's metadata reply has them.

        Returns:
            dict of the proto's fields by name, to be written as JSON.
        """
        return {name: _json(proto) for name, proto in self.signature_defs.items()}

    def replay_warmup(self):
        """Runs the requests in assets.extra, so that no client waits for what a first run sets up.

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
        """Frees the model. A computation that still runs is given up."""
        self._session.close()


def _signature(proto):
    return Signature(_tensors(proto.inputs), _tensors(proto.outputs), proto.method_name)


def _tensors(protos):
    return {name: _tensor_info(proto) for name, proto in sorted(protos.items())}


def _tensor_info(proto):
    shape = tf.TensorShape(proto.tensor_shape)
    return TensorInfo(tf.as_dtype(proto.dtype).name, None if shape.rank is None else tuple(shape.as_list()))


def _take_any_shape(graph, infos):
    """Has `Session.run` feed what does not fit a tensor's shape, which only Python's session compares.

    The runtime below it, which TensorFlow Serving calls, leaves shapes to the operations that get them. They take more
    than a signature says: half_plus_two, its own example, says [-1, 1] and documents [3].
    """
    for info in infos:
        with contextlib.suppress(KeyError, ValueError):  # a sparse tensor has no name of its own
            graph.get_tensor_by_name(info.name).get_shape = _unknown_shape


def _unknown_shape():
    return tf.TensorShape(None)


def _feeds(proto, expected, inputs):
    """What the session gets: the name of each tensor, and its value."""
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
    """The session would convert, and cut 1.5 down to 1."""
    if expected in _HANDLES:
        raise ServingError("UNIMPLEMENTED", f"Input {name} is of type {expected}, which no request can hold")
    found = "string" if value.dtype.kind in "OSU" else value.dtype.name
    if found != expected:
        raise invalid(f"Input {name} must be of type {expected} but got: {found}")
    if found == "string" and value.ndim > _MAX_STRING_RANK:
        raise invalid(f"Input {name} has {value.ndim} dimensions. Expected of strings at most: {_MAX_STRING_RANK}")


def _serving_error(error):
    """The session retells the runtime's error with stack traces of the server; the one below has the bare text."""
    bare = error.__context__ if isinstance(error.__context__, tf.errors.OpError) else error
    codes = list(HTTP_STATUS)
    code = codes[error.error_code - 1] if 1 <= error.error_code <= len(codes) else "UNKNOWN"
    return ServingError(code, bare.message)


def _json(proto):
    return json_format.MessageToDict(proto, always_print_fields_with_no_presence=True, preserving_proto_field_name=True)


def _array(value):
    """A scalar string comes as bytes, which NumPy would cut at trailing zeros."""
    return np.asarray(value, dtype=object if isinstance(value, bytes) else None)


@contextlib.contextmanager
def _quiet():
    """Holds back the notes that what TensorFlow Serving itself uses is deprecated."""
    level = tf.get_logger().level
    tf.get_logger().setLevel(logging.ERROR)
    try:
        yield
    finally:
        tf.get_logger().setLevel(level)
