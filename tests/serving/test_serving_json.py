"""JSON to arrays and back: the fast ways agree with the exact ones, and errors name what is wrong."""

import base64
import itertools
import json
import math
import tracemalloc

import numpy as np
import pytest

from tf_cyclegan.serving.errors import HTTP_STATUS, ServingError, invalid
from tf_cyclegan.serving.model_signatures import TensorInfo
from tf_cyclegan.serving.rest import json_parser, json_reply, json_tensors
from tf_cyclegan.serving.rest.json_inputs import read_inputs, signature_name
from tf_cyclegan.serving.rest.json_parser import read_document
from tf_cyclegan.serving.rest.json_reply import decimals, show, write_error, write_reply
from tf_cyclegan.serving.rest.json_tensors import base64_hint

FLOAT = {"x": TensorInfo("float32", None)}
TOO_BIG = "Number too big to be stored in double."
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"]


def refusal(function, *arguments):
    with pytest.raises(ServingError) as caught:
        function(*arguments)
    return caught.value


def read(text, inputs=FLOAT):
    return read_inputs(read_document(text.encode()), inputs)


# ---- documents ----


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The document is empty"),
        (" \n\t", "The document is empty"),
        ('{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        ('{"a": 1 "b"}', "Missing a comma or '}' after an object member. at offset: 8"),
        ('{"a": [{"]": "\\"["} 2]}', "Missing a comma or ']' after an array element. at offset: 20"),
        ('{"a": [1,]}', "Invalid value. at offset: 9"),
        ("{'a': 1}", "Missing a name for object member. at offset: 1"),
        ('{"a": 1,}', "Missing a name for object member. at offset: 8"),
        ('{"é": nope}', "Invalid value. at offset: 8"),
        ('{"a": -Infinit}', "Invalid value. at offset: 14"),
        ('{"a": -}', "Invalid value. at offset: 7"),
        ('{"a": .5}', "Invalid value. at offset: 6"),
        ('{"a": 1.}', "Miss fraction part in number. at offset: 8"),
        ('{"a": [0.e1]}', "Miss fraction part in number. at offset: 9"),
        ('{"a": 1.5e}', "Miss exponent in number. at offset: 10"),
        ('{"a": 1E+}', "Miss exponent in number. at offset: 9"),
        ('{"a": 1.5.2}', "Missing a comma or '}' after an object member. at offset: 9"),
        ('{"a": 01}', "Missing a comma or '}' after an object member. at offset: 7"),
        ('{"a": [Infx]}', "Missing a comma or ']' after an array element. at offset: 10"),
        ('{"a": [-Inf, "-NaN", x]}', "Invalid value. at offset: 21"),
        ('{"a": "b', "Missing a closing quotation mark in string. at offset: 8"),
        ('{"a": "\\x"}', "Invalid escape character in string. at offset: 7"),
        ('{"a": "\t"}', "Invalid escape character in string. at offset: 7"),
        ('{"a": "\\u12g4"}', "Incorrect hex digit after \\u escape in string. at offset: 7"),
        ('{"a": "\\ud83d"}', "The surrogate pair in string is invalid."),
        ('{"a": ' + "[" * 100_000, "The document is nested too deeply."),
        ('{"a": ' + "9" * 5000 + "}", f"{TOO_BIG} at offset: 6"),
        ('{"é": [1, ' + "9" * 309 + "]}", f"{TOO_BIG} at offset: 11"),
        ('{"a": {"b": "1e999", "c": -1E+999}}', f"{TOO_BIG} at offset: 26"),
    ],
)
def test_what_is_no_json(text, message):
    error = refusal(read_document, text.encode())
    assert (error.code, error.message) == ("INVALID_ARGUMENT", f"JSON Parse error: {message}")


def test_bytes_that_are_no_utf_8():
    assert "Invalid encoding in string. at offset: 7" in refusal(read_document, b'{"a": "\xff"}').message


def test_a_byte_order_mark_and_text_after_the_object():
    assert read_document(b'\xef\xbb\xbf {"a": "\\ud83d\\ude00"} tail') == {"a": "😀"}


def test_of_keys_that_come_twice_the_first_counts():
    assert read_document(b'{"a": 1, "b": {"c": [2], "c": 3}, "a": 4}') == {"a": 1, "b": {"c": [2]}}


def test_constants_by_all_their_names():
    found = read_document(b'{"a": [Inf, -Inf, Infinity, -Infinity], "-NaN": [NaN, -NaN], "\\"Inf": "Inf"} Inf')
    assert found["a"] == [math.inf, -math.inf] * 2 and found['"Inf'] == "Inf"
    assert all(map(math.isnan, found["-NaN"]))


def test_numbers_that_only_look_too_big():
    text = '{"a": "1e999", "b": "%s", "c": 1e0005, "d": 0.%s, "e": 1%s} 1e999'
    digits = "3" * 400
    assert read_document((text % (digits, digits, "0" * 308)).encode())["c"] == 1e5


@pytest.mark.parametrize("piece", ["x", "\\n"])
def test_what_is_wrong_is_found_in_little_memory(piece):
    body = ('{"a": "' + piece * 500_000 + '" "b"}').encode()
    tracemalloc.start()
    error = refusal(read_document, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "comma or '}'" in error.message and peak < 10 * len(body)


def test_a_request_cannot_be_all_brackets(monkeypatch):
    monkeypatch.setattr(json_parser, "_MAX_LISTS", 3)
    assert read_document(b'{"a": [[], []]}') == {"a": [[], []]}
    assert "more than 3 lists" in refusal(read_document, b'{"a": [[], [], []]}').message


def test_signature_names():
    assert signature_name({}) == signature_name({"signature_name": ""}) == "serving_default"
    assert signature_name({"signature_name": "uint8"}) == "uint8"
    assert "must be a string value" in refusal(signature_name, {"signature_name": None}).message


# ---- arrays ----


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 1, 3), (2, 0), (4, 2, 2, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int32", "int64", "bool"])
def test_the_fast_way_agrees_with_the_exact_one(dtype, shape, monkeypatch):
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
    values = values / np.float32(7) if dtype == "float32" else values
    text = json.dumps({"instances": values.tolist()})
    fast, rows = read(text, {"x": TensorInfo(dtype, None)})
    monkeypatch.setattr(json_tensors, "_plain_array", lambda values, dtype: None)
    exact, _ = read(text, {"x": TensorInfo(dtype, None)})
    assert rows and fast["x"].dtype == exact["x"].dtype == dtype
    np.testing.assert_array_equal(fast["x"], values)
    np.testing.assert_array_equal(exact["x"], values)


def test_the_fast_way_is_taken():
    for dtype, values in {"float32": [[0.5, 1], [2, 3]], "uint8": [[0, 255]], "bool": [True], "uint64": [0]}.items():
        assert json_tensors._plain_array(values, dtype) is not None
    for dtype, values in {"float32": [True], "uint8": [256], "int32": [1.0], "bool": [1], "int64": [2**63]}.items():
        assert json_tensors._plain_array(values, dtype) is None


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_to_the_ends_of_their_type_and_no_further(dtype):
    info = {"x": TensorInfo(dtype, None)}
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    found, _ = read(f'{{"inputs": [{low}, {high}]}}', info)
    assert found["x"].dtype == dtype and found["x"].tolist() == [low, high]
    for wrong in (low - 1, high + 1, "true", "1.0", "null"):
        message = refusal(read, f'{{"inputs": [0, {wrong}]}}', info).message
        assert message.startswith(f"JSON Value: {wrong} Type: ") and message.endswith(f"expected type: {dtype}")


@pytest.mark.parametrize(
    ("dtype", "text", "number"),
    [
        ("float32", "16777217", 16777216),
        ("float32", "-16777219", -16777220),
        ("float32", "1435774380", 1435774336),
        ("float32", "18446744073709551617", 2.0**64),
        ("float32", "1e39", math.inf),
        ("float32", "-3.5e38", -math.inf),
        ("float32", "1" + "0" * 300, math.inf),
        ("float32", "2.22507e-308", 0),
        ("float64", "9007199254740993", 9007199254740992),
        ("float64", "1" + "0" * 300, 1e300),
    ],
)
def test_numbers_that_a_float_cannot_keep_are_rounded(dtype, text, number):
    info = {"x": TensorInfo(dtype, None)}
    assert read(f'{{"instances": [{text}]}}', info)[0]["x"].tolist() == [number]
    assert read(f'{{"inputs": {text}}}', info)[0]["x"].tolist() == number


def test_numbers_that_are_not_finite():
    found, _ = read('{"instances": [NaN, Infinity, -Infinity, 1, -Inf]}')
    np.testing.assert_array_equal(found["x"], [np.nan, np.inf, -np.inf, 1, -np.inf])
    for text in ("1e400", "-1e999", "1" + "0" * 400):
        assert refusal(read, f'{{"instances": [{text}]}}').message == f"JSON Parse error: {TOO_BIG} at offset: 15"


def test_lists_deeper_than_any_array():
    deep = "[" * 40 + "1" + "]" * 40
    for key in ("instances", "inputs"):
        assert "nested" in refusal(read, f'{{"{key}": {deep}}}').message


@pytest.mark.parametrize("value", ['{"b64": "aGk"}', '{"b64": "aGk."}', '{"b64": " aG k=\\n"}', '"hi"'])
def test_strings(value):
    found, _ = read(f'{{"instances": [{value}]}}', {"x": TensorInfo("string", None)})
    assert found["x"].dtype == object and found["x"].tolist() == [b"hi"]


@pytest.mark.parametrize("value", ["aGk-", "aGk==", "a", "a===", "é===", "=", "aG=k", "aG\u00a0k"])
def test_what_is_no_base64(value):
    request = json.dumps({"inputs": {"b64": value}})
    assert refusal(read, request, {"x": TensorInfo("string", None)}).message == "Unable to base64 decode"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint16", "complex64", "float8_e5m2"])
def test_types_that_json_has_no_form_for(dtype):
    info = {"x": TensorInfo(dtype, None)}
    error = refusal(read, '{"inputs": [1.5]}', info)
    assert error.code == "UNIMPLEMENTED" and error.message.endswith(
        f"to type: {json_reply.TYPE_NAMES.get(dtype, dtype)}"
    )
    assert HTTP_STATUS[error.code] == 501
    assert refusal(read, '{"instances": [1.5]}', info).code == "INVALID_ARGUMENT"
    for request, shape in {'{"inputs": []}': (0,), '{"instances": [[], []]}': (2, 0)}.items():
        found, rows = read(request, info)
        assert (found["x"].dtype.name, found["x"].shape) == (dtype, shape)
        (values,) = json.loads(write_reply(found, rows)).values()
        assert values == found["x"].tolist()


def test_types_that_have_no_arrays():
    for value in ("[1.5]", "[]"):
        error = refusal(read, f'{{"inputs": {value}}}', {"x": TensorInfo("resource", None)})
        assert error.code == "UNIMPLEMENTED" and error.message.endswith("to type: resource")


def test_errors_list_the_inputs_after_the_words_of_tensorflow_serving():
    one, two = FLOAT, {"b": FLOAT["x"], "a": FLOAT["x"]}
    for request, inputs, theirs in [
        ('{"instances": [{"z": 1}]}', one, "INVALID_ARGUMENT: JSON object: does not have named input: z"),
        ('{"inputs": {"z": 1}}', one, "Missing named input: x in 'inputs' object."),
        ('{"inputs": {"a": 1}}', two, "Missing named input: b in 'inputs' object."),
        ('{"inputs": [1]}', two, "required as per tensorinfo_map"),
        ('{"instances": [1]}', two, "required as per tensorinfo_map"),
    ]:
        before, after = refusal(read, request, inputs).message.split(theirs)
        assert after.lstrip(". ") == f"The inputs are: {', '.join(sorted(inputs))}"


def test_text_that_should_have_been_base64():
    image = base64.b64encode(b"\x89PNG" + bytes(100)).decode()
    info = {"image_bytes": TensorInfo("string", None), "n": TensorInfo("int32", None)}
    for text in (
        image,
        f"data:image/png;base64,{image}",
        image.replace("A", "-").rstrip("="),
        f"{image[:40]}\n{image[40:]}",
    ):
        hint = base64_hint(read(json.dumps({"instances": [{"image_bytes": text, "n": 1}]}), info)[0])
        assert hint.startswith('. If the text of image_bytes is base64, say {"b64": ')
    for value in ({"b64": image}, "a sentence of some words, which nobody would take for an image in base64", "short"):
        assert base64_hint(read(json.dumps({"instances": [{"image_bytes": value, "n": 1}]}), info)[0]) == ""


def test_a_signature_without_inputs():
    assert refusal(read, '{"inputs": {}}', {}).message == "Failed to get input map for signature: DEFAULT"


# ---- replies ----


def random_floats(count, dtype):
    """Any bits at all, and the values where the form of a number changes."""
    size = np.dtype(dtype).itemsize
    bits = np.random.default_rng(0).integers(0, 2 ** (8 * size), count, np.uint64).astype(f"uint{8 * size}")
    special = [0.0, -0.0, 1e6, 123456, 1234567, 0.1, 1e-5, np.nan, np.inf, -np.inf]
    return np.concatenate([bits.view(dtype), np.array(special, dtype)])


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 9), ("float64", 17)])
def test_numbers_come_back_bit_for_bit_and_look_as_they_should(dtype, digits):
    values = random_floats(20_000, dtype)
    texts = decimals(values)
    np.testing.assert_array_equal(np.array([float(text) for text in texts], dtype), values)
    for value, text in zip(values[::7].tolist(), texts[::7], strict=True):
        short, long = f"{value:g}", f"{value:.{digits}g}"
        if math.isfinite(value):
            assert text.removesuffix(".0") == (short if np.dtype(dtype).type(short) == value else long)
            assert "." in text or "e" in text
        else:
            assert text in ("NaN", "Infinity", "-Infinity")
    assert decimals(values[:0]) == []


def test_rows_stand_on_one_line_and_columns_do_not():
    values = {"y": np.float32([[1, 0.5], [2, 3]])}
    assert write_reply(values, rows=True) == b'{\n    "predictions": [[1.0, 0.5], [2.0, 3.0]\n    ]\n}'
    inner = ",\n".join(
        f"        [\n            {a},\n            {b}\n        ]" for a, b in [("1.0", 0.5), ("2.0", "3.0")]
    )
    assert write_reply(values, rows=False).decode() == f'{{\n    "outputs": [\n{inner}\n    ]\n}}'


def test_several_outputs_in_rows_and_columns():
    values = {"flag": np.array([True]), "text": np.array([b'"\x1f'], object), "z_bytes": np.array([b"\xff"], object)}
    assert write_reply(values, rows=True).decode() == (
        '{\n    "predictions": [\n        {\n            "flag": true,\n            "text": "\\"\\u001F",\n'
        '            "z_bytes": {\n                "b64": "/w=="\n            }\n        }\n    ]\n}'
    )
    assert json.loads(write_reply(values, rows=False)) == {
        "outputs": {"flag": [True], "text": ['"\x1f'], "z_bytes": [{"b64": "/w=="}]}
    }


@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0), (1, 0, 3), (2, 3, 1)])
@pytest.mark.parametrize("rows", [True, False])
def test_every_shape_is_json(shape, rows):
    values = {"y": np.arange(math.prod(shape), dtype="uint8").reshape(shape)}
    (found,) = json.loads(write_reply(values, rows)).values()
    assert found == values["y"].tolist()


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": np.float32(1)}, "Tensor name: y has no shape information "),
        ({"y": np.zeros(2), "z": np.zeros(3)}, "Tensor name: z has inconsistent batch size: 3 expecting: 2"),
        ({"y": np.zeros(2, "float16")}, "Failed to write JSON value for tensor type: half"),
        ({"y": np.zeros(2, "complex64")}, "Failed to write JSON value for tensor type: complex64"),
        ({"y": np.array([b"\xff"], object)}, "Output y is not UTF-8 text; a name that ends in _bytes gets base64"),
    ],
)
def test_what_has_no_reply(outputs, message):
    assert refusal(write_reply, outputs, True).message == message


def test_errors_quote_values_and_cut_them():
    assert show({"a": [1, 0.1, None, True, "é"], "b": {}, "c": []}) == (
        '{\n    "a": [\n        1,\n        0.1,\n        null,\n        true,\n        "é"\n    ],\n'
        '    "b": {},\n    "c": []\n}'
    )
    assert show(1e39) == "1e+39" and show(16777217) == "16777217" and show(False) == "false"
    for long in ("x" * 10**6, [1] * 10**6, {"a": "x" * 10**6}):
        assert len(show(long)) < 1100 and show(long).endswith("...")


def test_an_error_is_json_whatever_it_quotes():
    for message in ('say "no"', "\x00\n", "\udcff", "é"):
        assert list(json.loads(write_error(message))) == ["error"]


def test_tensorflow_numbers_the_codes_so():
    import tensorflow as tf

    names = [name for name in vars(tf.errors) if name.isupper() and name != "OK"]
    assert list(HTTP_STATUS) == sorted(names, key=lambda name: getattr(tf.errors, name))
    assert invalid("x").http_status == 400 and ServingError("UNKNOWN", "x", 415).http_status == 415


def test_formatting_in_pieces_is_formatting_at_once(monkeypatch):
    values = random_floats(100, "float32")
    whole = decimals(values)
    monkeypatch.setattr(json_reply, "_CHUNK", 7)
    assert (
        decimals(values) == whole == list(itertools.chain(*(decimals(values[i : i + 1]) for i in range(len(values)))))
    )
