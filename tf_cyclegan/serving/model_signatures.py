"""Signatures of a SavedModel: what they take and give, and whether a run of one leaves something changed."""

import dataclasses

MAX_RANK = 32  # of a tensor in a request, as in NumPy 1
# Operations that TensorFlow calls stateful, although they only read, or change nothing that outlives a run.
_HARMLESS = {
    *("VarHandleOp", "ReadVariableOp", "VarIsInitializedOp", "Variable", "VariableV2", "ResourceGather"),
    *("ResourceGatherNd", "StatefulPartitionedCall", "If", "While", "Case", "Assert", "Print", "PrintV2"),
    *("HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2", "LookupTableFind", "LookupTableFindV2"),
    *("LookupTableSize", "LookupTableSizeV2", "RandomUniform", "RandomUniformInt", "RandomStandardNormal"),
    *("TruncatedNormal", "Multinomial", "RandomShuffle", "RandomGamma", "RandomPoissonV2"),
}
_OF_A_RUN = ("TensorArray", "Stack")  # beginnings of names; they end with the run


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Args:
        dtype: str, NumPy's name of the type, or "string": "float32", "uint8", "bfloat16".
        shape: tuple of int, None where any size goes; None if even the rank is unknown.
    """

    dtype: str
    shape: tuple | None


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of a SavedModel.

    Args:
        inputs: dict, name to `TensorInfo`.
        outputs: dict, name to `TensorInfo`.
        method_name: str, as "tensorflow/serving/predict".
    """

    inputs: dict
    outputs: dict
    method_name: str


def leaves_traces(graph, signature, definition):
    """Whether a run of a signature may change a variable, a table or a file.

    Args:
        graph: `GraphDef` of a SavedModel.
        signature: `SignatureDef` of the same SavedModel.
        definition: callable, from an operation's name to its `OpDef`, or None for an unknown operation.

    Returns:
        bool, True for a signature with unknown operations.
    """
    functions = {function.signature.name: function.node_def for function in graph.library.function}
    nodes, seen = _needed(graph, signature), set()
    while nodes:
        node = nodes.pop()
        called = {node.op, *_functions(node)} & set(functions)
        if node.op not in functions and _changes(node.op, definition):
            return True
        for name in called - seen:
            nodes.extend(functions[name])
        seen |= called
    return False


def _needed(graph, signature):
    """The nodes that a run goes through, from the outputs back to the inputs."""
    nodes = {node.name: node for node in graph.node}
    fed = {_node_name(info.name) for info in signature.inputs.values()}
    waiting, needed = [_node_name(info.name) for info in signature.outputs.values()], {}
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in needed and name not in fed:
            needed[name] = nodes[name]
            waiting.extend(map(_node_name, nodes[name].input))
    return list(needed.values())


def _node_name(tensor):
    return tensor.removeprefix("^").partition(":")[0]


def _functions(node):
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name


def _changes(name, definition):
    if name in _HARMLESS or name.startswith(_OF_A_RUN):
        return False
    op = definition(name)
    return op is None or op.is_stateful or any(argument.is_ref for argument in op.input_arg)
