"""Which signatures of a SavedModel leave something changed when they are run: variables, tables, files."""

# Operations that TensorFlow calls stateful, yet that only read, or change nothing that outlives a run.
_HARMLESS = {
    *("VarHandleOp", "ReadVariableOp", "VarIsInitializedOp", "Variable", "VariableV2", "ResourceGather"),
    *("ResourceGatherNd", "StatefulPartitionedCall", "If", "While", "Case", "Assert", "Print", "PrintV2"),
    *("HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2", "LookupTableFind", "LookupTableFindV2"),
    *("LookupTableSize", "LookupTableSizeV2", "RandomUniform", "RandomUniformInt", "RandomStandardNormal"),
    *("TruncatedNormal", "Multinomial", "RandomShuffle", "RandomGamma", "RandomPoissonV2"),
}
_OF_A_RUN = ("TensorArray", "Stack")


def leaves_traces(graph, signature, definition):
    """Whether a run of a signature may change what a later one finds.

    Args:
        graph: `GraphDef` of a SavedModel.
        signature: `SignatureDef`, of it.
        definition: callable, from an operation's name to its `OpDef`, or None.

    Returns:
        bool, True too where nobody knows what an operation is.
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
    """The nodes that are run for the outputs, up to the inputs."""
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
