"""Bytes to a JSON document, with the words of TensorFlow Serving's parser for what is wrong."""

import json
import re

from tf_cyclegan.serving.errors import ServingError, invalid
from tf_cyclegan.serving.reply import show

# A list takes about 80 bytes and an object 250, where three bytes of text make one.
_MAX_LISTS = 2**20
_MAX_OBJECTS = 2**16
_BLANKS = re.compile(r"[ \t\n\r]*")
_BRACKETS = re.compile(r'"(?:\\.|[^"\\])*"|[\[\]{}]', re.DOTALL)
_WORDS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
}


class ParseError(ServingError):
    """A request that is not JSON."""

    def __init__(self, message):
        super().__init__("INVALID_ARGUMENT", f"JSON Parse error: {message}")


class Token(float):
    """`NaN`, `Infinity` or `-Infinity`, written as such: other infinite numbers are too big to be read."""


_DECODER = json.JSONDecoder(parse_constant=Token)


def read_document(body):
    """Reads a request's JSON object; text after it is ignored.

    Args:
        body: bytes.

    Returns:
        dict.

    Raises:
        ServingError: if it is not JSON, not an object, or made to exhaust the memory.
    """
    document = _parse(_decode(body))
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {show(document)} Is not object")
    return document


def _decode(body):
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParseError(f"Invalid encoding in string. at offset: {error.start}") from error


def _parse(text):
    if text.count("[") > _MAX_LISTS or text.count("{") > _MAX_OBJECTS:
        raise invalid(f"The request has more than {_MAX_LISTS} lists or {_MAX_OBJECTS} objects")
    start = _BLANKS.match(text).end()
    if start == len(text):
        raise ParseError("The document is empty")
    try:
        document, _ = _DECODER.raw_decode(text, start)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ParseError(f"{_in_their_words(error)} at offset: {_offset(error)}") from error
    except UnicodeEncodeError as error:  # half of a pair, which Python reads and cannot write
        raise ParseError("The surrogate pair in string is invalid.") from error
    except RecursionError as error:
        raise ParseError("The document is nested too deeply.") from error
    except ValueError as error:  # Python's limit to the digits of an integer
        raise ParseError("Number too big to be stored in double.") from error
    return document


def _in_their_words(error):
    if error.msg != "Expecting ',' delimiter":
        return _WORDS.get(error.msg, error.msg)
    if _innermost(error.doc[: error.pos]) == "{":
        return "Missing a comma or } after an object member."
    return "Missing a comma or ] after an array element."


def _innermost(text):
    """The bracket that is open at the end of the text."""
    open_brackets = []
    for found in _BRACKETS.finditer(text):
        if found[0] in "[{":
            open_brackets.append(found[0])
        elif found[0] in "]}":
            open_brackets.pop()
    return open_brackets[-1]


def _offset(error):
    position = len(error.doc) if error.msg.startswith("Unterminated") else error.pos
    return len(error.doc[:position].encode())
