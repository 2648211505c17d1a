"""The bytes of a protobuf message, whose fields are counted before it is parsed."""

import numpy as np

from tf_cyclegan.serving.errors import ServingError, invalid

# A field of two bytes can become an object of hundreds: 16 MiB of them would take gigabytes.
_MAX_FIELDS = 2**16
# The messages within a PredictRequest whose fields are counted, by the numbers of the fields that hold them.
_INSIDE = {"request": {2: "input"}, "input": {2: "tensor"}, "tensor": {2: "shape"}}
_HANDLES = (14, 15)  # resource_handle_val and variant_val of a tensor: trees of objects, which no request needs
# The fields of a tensor that hold a row of integers, and the fewest bytes of such an integer in an array. In the
# request an integer may have a single byte.
_INTEGERS = {7: 1, 10: 8, 11: 1, 13: 2, 16: 4, 17: 8}
_FIXED = {1: 8, 5: 4}


def check_fields(data, max_bytes):
    """Checks how much memory a PredictRequest would take when it is parsed.

    Args:
        data: bytes of the message.
        max_bytes: int, the most bytes of integers.

    Raises:
        ServingError: if the bytes are no message, or it has too many fields or integers, or resources or variants.
    """
    count, integers, parts = 0, 0, [("request", 0, len(data))]
    while parts:
        message, position, end = parts.pop()
        while position < end:
            count += 1
            if count > _MAX_FIELDS:
                text = f"The request has more than {_MAX_FIELDS} fields. Send values packed or as tensor_content"
                raise ServingError("RESOURCE_EXHAUSTED", text)
            number, start, position = _field(data, position, end)
            if message == "tensor" and number in _HANDLES:
                raise ServingError("UNIMPLEMENTED", "Tensors of resources and variants are not taken")
            if message == "tensor" and number in _INTEGERS:
                integers += _INTEGERS[number] * _count_integers(data, start, position)
                if integers > max_bytes:
                    raise invalid(f"The request has more than {max_bytes} bytes of integers")
            if number in _INSIDE.get(message, ()):
                parts.append((_INSIDE[message][number], start, position))


def _count_integers(data, start, stop):
    """The number of packed integers: the last byte of each is below 128."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8, stop - start, start) < 0x80))


def _field(data, position, end):
    """The number of a field, and the start and end of its content."""
    tag, start = _varint(data, position, end)
    number, kind = tag >> 3, tag & 7
    if kind == 0:
        stop = _varint(data, start, end)[1]
    elif kind == 2:
        size, start = _varint(data, start, end)
        stop = start + size
    elif kind in _FIXED:
        stop = start + _FIXED[kind]
    else:
        raise _malformed()
    if stop > end:
        raise _malformed()
    return number, start, stop


def _varint(data, position, end):
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    raise _malformed()


def _malformed():
    return invalid("The request is no PredictRequest")
