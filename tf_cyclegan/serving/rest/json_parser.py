"""Bytes to a JSON document, with the words of TensorFlow Serving's parser for what is wrong."""

import json
import math
import os.path
import re

from tf_cyclegan.serving.errors import ServingError, invalid
from tf_cyclegan.serving.rest.json_reply import show

# A list takes about 80 bytes and an object 250, where three bytes of text make one.
_MAX_LISTS = 2**20
_MAX_OBJECTS = 2**16
_BLANKS = re.compile(r"\ufeff?[ \t\n\r]*")
# Up to the end of the text if the string has none. Without "+" each step of the search would take a hundred bytes.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_BRACKETS = re.compile(rf"{_STRING}|[\[\]{{}}]", re.DOTALL)
_NUMBERS = re.compile(rf"{_STRING}|-?[0-9][0-9.eE+-]*", re.DOTALL)
_CONSTANT = re.compile(r"-?(?:NaN|Inf(?:inity|(?!i)))")
_CONSTANTS = re.compile(rf"{_STRING}|{_CONSTANT.pattern}", re.DOTALL)
_LITERALS = ("null", "true", "false", "NaN", "Infinity", "-NaN", "-Infinity")
_MARKS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_EXPONENT = re.compile(b"e000")  # "in" takes three times as long
_LONG_INTEGER = b"0" * 309
_WORDS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid escape character in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
}


class ParseError(ServingError):
    """A request that is not JSON."""

    def __init__(self, message):
        super().__init__("INVALID_ARGUMENT", f"JSON Parse error: {message}")


def read_document(body):
    """Reads a request's JSON object; text after it is ignored.

    Args:
        body: bytes.

    Returns:
        dict.

    Raises:
        ServingError: if it is not JSON, not an object, or made to exhaust the memory.
    """
    if body.count(b"[") > _MAX_LISTS or body.count(b"{") > _MAX_OBJECTS:
        raise invalid(f"The request has more than {_MAX_LISTS} lists or {_MAX_OBJECTS} objects")
    document = _parse(body, _text(body))
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {show(document)} Is not object")
    return document


def _text(body):
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ParseError(f"Invalid encoding in string. at offset: {error.start}") from None


def _parse(body, text):
    start = _BLANKS.match(text).end()
    if start == len(text):
        raise ParseError("The document is empty")
    try:
        document, end = _decode(text, start)
        if "\\" in text and ("\\ud" in text or "\\uD" in text):
            json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise _parse_error(error) from None
    except UnicodeEncodeError:  # half of a pair, which Python reads and cannot write
        raise ParseError("The surrogate pair in string is invalid.") from None
    except RecursionError:
        raise ParseError("The document is nested too deeply.") from None
    except ValueError:  # Python's limit to the digits of an integer
        end = len(text)
    _check_numbers(body, text, start, end)
    return document


# ---- what Python reads in another way ----


def _decode(text, start):
    try:
        return _decoder(float).raw_decode(text, start)
    except json.JSONDecodeError as error:
        if not _CONSTANT.match(text, error.pos):
            raise
    # Python does not know Inf, -Inf and -NaN: it gets NaN for all constants, and says in order where they are.
    constants = []

    def hide(found):
        if found[0].startswith('"'):
            return found[0]
        constants.append(float(found[0]))
        return "NaN".ljust(len(found[0]))

    hidden, values = _CONSTANTS.sub(hide, text), iter(constants)
    return _decoder(lambda _: next(values)).raw_decode(hidden, start)


def _decoder(parse_constant):
    return json.JSONDecoder(parse_constant=parse_constant, object_pairs_hook=_object)


def _object(members):
    """Of members with the same name the first counts, as for TensorFlow Serving."""
    found = dict(members)
    return found if len(found) == len(members) else dict(reversed(members))


def _check_numbers(body, text, start, end):
    """Python's integers have no end, and its decimals are infinite where they are too big."""
    marks = body.translate(_MARKS, b"+")
    if not _LONG_EXPONENT.search(marks) and _LONG_INTEGER not in marks:
        return
    for number in _NUMBERS.finditer(text, start, end):
        if text[number.start()] != '"' and math.isinf(float(number[0])):
            raise _at("Number too big to be stored in double.", text, number.start())


# ---- what is wrong, and where ----


def _parse_error(error):
    words, position = _in_their_words(error.msg, error.doc, error.pos)
    return _at(words, error.doc, position)


def _at(words, text, position):
    return ParseError(f"{words} at offset: {len(text[:position].encode())}")


def _in_their_words(wrong, text, position):
    words = _WORDS.get(wrong, wrong)
    if wrong.startswith("Unterminated"):
        return words, len(text)
    if wrong.startswith("Invalid \\u"):
        return words, text.rindex("\\", 0, position + 1)
    if wrong.startswith("Illegal trailing comma"):
        return words, _BLANKS.match(text, position + 1).end()
    if wrong == "Expecting value":
        found = text[position : position + 9]
        return words, position + max(len(os.path.commonprefix([found, literal])) for literal in _LITERALS)
    if wrong == "Expecting ',' delimiter":
        return _unfinished(text, position) or (_missing_comma(text[:position]), position)
    return words, position


def _unfinished(text, position):
    """Python ends a number before a point or an exponent that lacks digits."""
    number = text[len(text[:position].rstrip("0123456789.eE+-")) : position].lower()
    mark = text[position : position + 1].lower()
    if number[-1:].isdigit() and mark == "." and not {".", "e"} & set(number):
        return "Miss fraction part in number.", position + 1
    if number[-1:].isdigit() and mark == "e" and "e" not in number:
        return "Miss exponent in number.", position + 1 + (text[position + 1 : position + 2] in ("+", "-"))
    return None


def _missing_comma(text):
    """What the innermost bracket that is open at the end of the text must be followed by."""
    open_brackets = []
    for found in _BRACKETS.finditer(text):
        if found[0] in "[{":
            open_brackets.append(found[0])
        elif found[0] in "]}":
            open_brackets.pop()
    if open_brackets[-1] == "{":
        return "Missing a comma or '}' after an object member."
    return "Missing a comma or ']' after an array element."
