"""The JSON document of a predict request to arrays, as TensorFlow Serving reads them."""

from tf_cyclegan.serving.errors import invalid
from tf_cyclegan.serving.rest.json_reply import show
from tf_cyclegan.serving.rest.json_tensors import is_base64, read_tensor, stack_tensors


def signature_name(document):
    """Returns the name of the signature that a request asks for.

    Raises:
        ServingError: if the name is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        wrong = "not formatted correctly. 'signature_name' key must be a string value."
        raise invalid(f"JSON Value: {show(document)} {wrong}")
    return name or "serving_default"


def read_inputs(document, tensors):
    """Reads "instances", a list with a value for each instance, or "inputs", whole tensors.

    Args:
        document: dict, the request.
        tensors: dict, name to `TensorInfo`, the inputs of the signature.

    Returns:
        `(inputs, rows)`: a dict of name to array, and True for instances. Strings are object arrays of bytes.

    Raises:
        ServingError: if the values do not fit the types, or the lists are ragged.
    """
    if not tensors:
        raise invalid(f"Failed to get input map for signature: {document.get('signature_name') or 'DEFAULT'}")
    if "instances" in document and "inputs" in document:
        wrong = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise invalid(f"JSON Value: {show(document)} {wrong}")
    if "instances" in document:
        return _read_rows(document, tensors), True
    if "inputs" in document:
        return _read_columns(document["inputs"], tensors), False
    raise invalid("Missing 'inputs' or 'instances' key")


def _read_rows(document, tensors):
    instances = document["instances"]
    if not isinstance(instances, list):
        raise invalid(f"JSON Value: {show(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid(f"JSON Value: {show(document)} No values in 'instances' array")
    named = _is_object(instances[0])
    if not named and len(tensors) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required "
            f"as per tensorinfo_map. {_names(tensors)}"
        )
    columns = _named_rows(instances, tensors) if named else _plain_rows(instances, tensors)
    return {
        name: stack_tensors(values, tensors[name].dtype, f" key: {name}" if named else "")
        for name, values in columns.items()
    }


def _plain_rows(instances, tensors):
    for index, item in enumerate(instances):
        if _is_object(item):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
    return dict.fromkeys(tensors, instances)  # there is one tensor


def _named_rows(instances, tensors):
    columns = {name: [] for name in tensors}
    for index, item in enumerate(instances):
        if not _is_object(item):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        for name, value in item.items():
            if name not in tensors:
                reason = f"INVALID_ARGUMENT: JSON object: does not have named input: {name}. {_names(tensors)}"
                raise invalid(f"Failed to process element: {index} key: {name} of 'instances' list. Error: {reason}")
            columns[name].append(value)
        if len(item) != len(tensors):
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: {show(item)} "
                f"keys must be equal to: {','.join(sorted(tensors))}"
            )
    return columns


def _read_columns(value, tensors):
    if _is_object(value):
        missing = [name for name in tensors if name not in value]
        if missing:
            raise invalid(f"Missing named input: {missing[0]} in 'inputs' object. {_names(tensors)}")
        return {name: read_tensor(value[name], info.dtype) for name, info in tensors.items()}
    if len(tensors) > 1:
        raise invalid(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required "
            f"as per tensorinfo_map. {_names(tensors)}"
        )
    return {name: read_tensor(value, info.dtype) for name, info in tensors.items()}


def _names(tensors):
    return f"The inputs are: {', '.join(sorted(tensors))}"


def _is_object(value):
    return isinstance(value, dict) and not is_base64(value)
