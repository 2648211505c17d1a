"""TensorFlow's C API, by which C++ programs as TensorFlow Serving load and run a SavedModel.

`tf.saved_model.load` proves little: it runs models whose variables no other program finds.
"""

import contextlib
import ctypes
import functools
import os

import numpy as np
import tensorflow as tf

_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")


class _Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p)]


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def is_available():
    """Whether the TensorFlow that is installed has its C API in a library of its own."""
    return _library_path() is not None


def run_by_c_api(path, signature_name, inputs):
    """Loads a SavedModel by `TF_LoadSessionFromSavedModel` and runs one of its signatures.

    Args:
        path: folder of the SavedModel.
        signature_name: str, a signature with inputs and outputs of numbers.
        inputs: dict, names of all inputs to arrays of numbers.

    Returns:
        dict, names of outputs to arrays.

    Raises:
        OSError: if this TensorFlow has no such library.
        RuntimeError: if the model cannot be loaded or run, with TensorFlow's words.

    Example:
        >>> run_by_c_api("exported/horse2zebra_ab/1", "tensor", {"image": images})["translated"]  # doctest: +SKIP
    """
    with contextlib.ExitStack() as stack:
        graph, session, meta_graph = _load(stack, os.fspath(path))
        signature = meta_graph.signature_def[signature_name]
        feeds = [(_output(graph, signature.inputs[name].name), array) for name, array in inputs.items()]
        fetches = [_output(graph, info.name) for info in signature.outputs.values()]
        return dict(zip(signature.outputs, _run(stack, session, feeds, fetches), strict=True))


def _library_path():
    folder = os.path.dirname(tf.__file__)
    paths = (os.path.join(folder, name) for name in _LIBRARIES)
    return next((path for path in paths if os.path.exists(path)), None)


@functools.cache
def _library():
    path = _library_path()
    if path is None:
        raise OSError(f"no C API of TensorFlow: none of {', '.join(_LIBRARIES)} in {os.path.dirname(tf.__file__)}")
    library = ctypes.CDLL(path)
    pointers = ("NewStatus", "NewGraph", "NewSessionOptions", "NewBuffer", "LoadSessionFromSavedModel")
    for name in (*pointers, "GraphOperationByName", "AllocateTensor", "TensorData"):
        getattr(library, f"TF_{name}").restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    library.TF_TensorByteSize.restype = ctypes.c_size_t
    library.TF_Dim.restype = ctypes.c_int64
    return library


def _load(stack, path):
    """The graph, the session and the parsed description of a model; the stack frees what was made."""
    library = _library()
    status, options = _new(stack, "Status"), _new(stack, "SessionOptions")
    graph, buffer = _new(stack, "Graph"), _new(stack, "Buffer")
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = library.TF_LoadSessionFromSavedModel(
        options, None, path.encode(), tags, 1, graph, ctypes.cast(buffer, ctypes.POINTER(_Buffer)), status
    )
    _check(status)
    session = ctypes.c_void_p(session)
    stack.callback(library.TF_DeleteSession, session, status)
    stack.callback(library.TF_CloseSession, session, status)
    content = ctypes.cast(buffer, ctypes.POINTER(_Buffer)).contents
    meta_graph = tf.compat.v1.MetaGraphDef.FromString(ctypes.string_at(content.data, content.length))
    return graph, session, meta_graph


def _run(stack, session, feeds, fetches):
    status = _new(stack, "Status")
    inputs, outputs = (_Output * len(feeds))(*(output for output, _ in feeds)), (_Output * len(fetches))(*fetches)
    values = (ctypes.c_void_p * len(feeds))(*(_new_tensor(stack, array) for _, array in feeds))
    results = (ctypes.c_void_p * len(fetches))()
    _library().TF_SessionRun(
        session, None, inputs, values, len(feeds), outputs, results, len(fetches), None, 0, None, status
    )
    _check(status)
    return [_to_array(stack, tensor) for tensor in results]


def _new(stack, kind):
    """A new object of the C API, as a pointer, which the stack deletes."""
    pointer = ctypes.c_void_p(getattr(_library(), f"TF_New{kind}")())
    stack.callback(getattr(_library(), f"TF_Delete{kind}"), pointer)
    return pointer


def _check(status):
    if _library().TF_GetCode(status):
        raise RuntimeError(_library().TF_Message(status).decode(errors="replace"))


def _output(graph, name):
    """A tensor's name, `operation:index`, as the operation in the graph and the index."""
    operation, _, index = name.partition(":")
    return _Output(_library().TF_GraphOperationByName(graph, operation.encode()), int(index))


def _new_tensor(stack, array):
    array = np.ascontiguousarray(array)
    kind = tf.as_dtype(array.dtype).as_datatype_enum
    dimensions = (ctypes.c_int64 * array.ndim)(*array.shape)
    tensor = _library().TF_AllocateTensor(kind, dimensions, array.ndim, ctypes.c_size_t(array.nbytes))
    stack.callback(_library().TF_DeleteTensor, ctypes.c_void_p(tensor))
    ctypes.memmove(_library().TF_TensorData(ctypes.c_void_p(tensor)), array.ctypes.data, array.nbytes)
    return tensor


def _to_array(stack, tensor):
    library, tensor = _library(), ctypes.c_void_p(tensor)
    stack.callback(library.TF_DeleteTensor, tensor)
    shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
    dtype = tf.as_dtype(library.TF_TensorType(tensor)).as_numpy_dtype
    data = ctypes.string_at(library.TF_TensorData(tensor), library.TF_TensorByteSize(tensor))
    return np.frombuffer(data, dtype).reshape(shape)
