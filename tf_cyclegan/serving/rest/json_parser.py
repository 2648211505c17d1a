"""The bytes of a request to a JSON document, with the error messages of TensorFlow Serving's parser."""

import json
import math
import os.path
import re

from tf_cyclegan.serving.errors import ServingError, invalid
from tf_cyclegan.serving.rest.json_reply import show

# Three bytes of text make a list of about 80 bytes or an object of 250.
_MAX_LISTS = 2**20
_MAX_OBJECTS = 2**16
_BLANKS = re.compile(r"\ufeff?[ \t\n\r]*")
# A string without an end goes to the end of the text. Without "+" each step of the search would take a hundred bytes.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_BRACKETS = re.compile(rf"{_STRING}|[\[\]{{}}]", re.DOTALL)
_NUMBERS = re.compile(rf"{_STRING}|-?[0-9][0-9.eE+-]*", re.DOTALL)
_CONSTANT = re.compile(r"-?(?:NaN|Inf(?:inity|(?!i)))")
_CONSTANTS = re.compile(rf"{_STRING}|{_CONSTANT.pattern}", re.DOTALL)
_LITERALS = ("null", "true", "false", "NaN", "Infinity", "-NaN", "-Infinity")
_MARKS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_EXPONENT = re.compile(b"e000")  # three times as fast as "in"
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
    """Reads a request's JSON object, and ignores text after it.

    Args:
        body: bytes.

    Returns:
        dict.

    Raises:
        ServingError: if the body is not JSON, not an object, or has too many lists or objects.
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
        document, end = _parse_json(text, start)
        if "\\" in text and ("\\ud" in text or "\\uD" in text):
            json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise _parse_error(error) from None
    except UnicodeEncodeError:  # Python reads half of a pair, and cannot write it
        raise ParseError("The surrogate pair in string is invalid.") from None
    except RecursionError:
        raise ParseError("The document is nested too deeply.") from None
    except ValueError:  # Python limits the digits of an integer
        end = len(text)
    _check_numbers(body, text, start, end)
    return document


# ---- differences from Python's parser ----


def _parse_json(text, start):
    try:
        return _decoder(float).raw_decode(text, start)
    except json.JSONDecodeError as error:
        if not _CONSTANT.match(text, error.pos):
            raise
    # Python does not know Inf, -Inf and -NaN. It gets NaN for each constant, and asks for their values in order.
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
    """A dict in which the first of several members with the same name counts, as for TensorFlow Serving."""
    found = dict(members)
    return found if len(found) == len(members) else dict(reversed(members))


def _check_numbers(body, text, start, end):
    """Refuses numbers beyond a double: Python reads any integer, and makes a large decimal infinite."""
    marks = body.translate(_MARKS, b"+")
    if not _LONG_EXPONENT.search(marks) and _LONG_INTEGER not in marks:
        return
    for number in _NUMBERS.finditer(text, start, end):
        if text[number.start()] != '"' and math.isinf(float(number[0])):
            raise _at("Number too big to be stored in double.", text, number.start())


# ---- errors and their offsets ----


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
    """The error of a point or exponent without digits, before which Python ends the number; else None."""
    number = text[len(text[:position].rstrip("0123456789.eE+-")) : position].lower()
    mark = text[position : position + 1].lower()
    if number[-1:].isdigit() and mark == "." and not {".", "e"} & set(number):
        return "Miss fraction part in number.", position + 1
    if number[-1:].isdigit() and mark == "e" and "e" not in number:
        return "Miss exponent in number.", position + 1 + (text[position + 1 : position + 2] in ("+", "-"))
    return None


def _missing_comma(text):
    """The error of a missing comma within the innermost bracket that is open at the end of the text."""
    open_brackets = []
    for found in _BRACKETS.finditer(text):
        if found[0] in "[{":
            open_brackets.append(found[0])
        elif found[0] in "]}":
            open_brackets.pop()
    if open_brackets[-1] == "{":
        return "Missing a comma or '}' after an object member."
    return "Missing a comma or ']' after an array element."
