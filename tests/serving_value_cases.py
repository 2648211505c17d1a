"""Numbers and strings as TensorFlow Serving reads and writes them, many from its json_tensor_test.cc."""

import serving_models
from serving_cases import ask, columns, echo, rows


def columns_of(name, signature, values, **expected):
    """As `echo`, in columns."""
    return ask(name, "echo", f'{{"signature_name": "{signature}", "inputs": {values}}}', **expected)


_FLOATS = {
    "1": "1.0",
    "-0.0": "-0.0",
    "0.1": "0.1",
    "0.2": "0.2",
    "0.3333333333": "0.333333343",
    "0.0001": "0.0001",
    "0.00003": "3e-05",
    "0.50000": "0.5",
    "555557.5": "555557.5",
    "999999": "999999.0",
    "100000": "100000.0",
    "123456": "123456.0",
    "1234567": "1234567.0",
    "1e6": "1e+06",
    "9000000": "9e+06",
    "16777215": "16777215.0",
    "16777216.0": "16777216.0",
    "16777217": "16777216.0",
    "1435774380": "1.43577434e+09",
    "1435774380.0": "1.43577434e+09",
    "18446744073709551616": "1.84467441e+19",
    "1e39": "Infinity",
    "1.79769e+308": "Infinity",
    "-1.79769e+308": "-Infinity",
    "2.22507e-308": "0.0",
    "-2.22507e-308": "-0.0",
    "-0": "0.0",
    "3.4028234663852886e38": "3.40282347e+38",
    "1.1754943508222875e-38": "1.17549435e-38",
    "1e-45": "1.4013e-45",
    "1e20": "1e+20",
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "Inf": "Infinity",
    "-Inf": "-Infinity",
    "-NaN": "NaN",
}
_DOUBLES = {
    "0.1": "0.1",
    "0.3333333333333333": "0.33333333333333331",
    "0.30000000000000004": "0.30000000000000004",
    "123456789.125": "123456789.125",
    "1e22": "1e+22",
    "16777217": "16777217.0",
    "9007199254740993": "9007199254740992.0",
    "18446744073709551616": "1.8446744073709552e+19",
    "Inf": "Infinity",
    "1.7976931348623157e308": "1.7976931348623157e+308",
}
_INTEGERS = {
    "int8": ("-128", "127"),
    "int16": ("-32768", "32767"),
    "int32": ("-2147483648", "2147483647"),
    "int64": ("-9223372036854775808", "9223372036854775807"),
    "uint8": ("0", "255"),
    "uint32": ("0", "4294967295"),
    "uint64": ("0", "18446744073709551615"),
}

NUMBERS = [
    echo(
        "integers among floats",
        "float32",
        "[1, 2.0, 3, 4, 5.003, 0.007, 0.0]",
        text=rows("[1.0, 2.0, 3.0, 4.0, 5.003, 0.007, 0.0"),
    ),
    echo(
        "integers among doubles",
        "float64",
        "[1.0, 2, 3, 4, 0.662, 0, 0.0]",
        text=rows("[1.0, 2.0, 3.0, 4.0, 0.662, 0.0, 0.0"),
    ),
    *(echo(f"float {sent}", "float32", f"[{sent}]", text=rows(f"[{text}")) for sent, text in _FLOATS.items()),
    *(echo(f"double {sent}", "float64", f"[{sent}]", text=rows(f"[{text}")) for sent, text in _DOUBLES.items()),
    *(
        echo(f"ends of {dtype}", dtype, f"[{low}, {high}]", text=rows(f"[{low}, {high}"))
        for dtype, (low, high) in _INTEGERS.items()
    ),
    *(
        echo(f"no decimals for {dtype}", dtype, "[1.0]", error=f"JSON Value: 1.0 Type: Number is not .*: {dtype}")
        for dtype in _INTEGERS
    ),
    echo("no truth values for int32", "int32", "[true]", error="JSON Value: true Type: True is not .*type: int32"),
    echo("no text for int32", "int32", '["1"]', error='JSON Value: "1" Type: String is not of expected type: int32'),
    echo("beyond int32", "int32", "[2147483648]", error="is not of expected type: int32"),
    echo("beyond int64", "int64", "[9223372036854775808]", error="is not of expected type: int64"),
    echo("beyond uint64", "uint64", "[18446744073709551616]", error="is not of expected type: uint64"),
    echo("below uint32", "uint32", "[-1]", error="is not of expected type: uint32"),
    echo("below uint64", "uint64", "[-1]", error="is not of expected type: uint64"),
    echo("not quite infinity", "float32", "[Infinit]", error="^JSON Parse error: Invalid value. at offset: "),
    echo("infinity in small letters", "float32", "[inf]", error="^JSON Parse error: Invalid value. at offset: "),
    echo("no text for floats", "float32", '["1"]', error='Value: "1" Type: String is not of expected type: float'),
    echo("no truth values for floats", "float32", "[true]", error="Type: True is not of expected type: float"),
    echo("no null for floats", "float32", "[null]", error="Type: Null is not of expected type: float"),
    echo("no objects for floats", "float32", '[{"b64": "AA=="}]', error="Type: Object is not of expected type: float"),
    echo("truth values", "bool", "[true, false]", text=rows("[true, false")),
    echo("no numbers for truth values", "bool", "[1]", error="Type: Number is not of expected type: bool"),
    *(
        case
        for dtype in serving_models.WITHOUT_FORM
        for case in [
            echo(f"{dtype} in rows", dtype, "[1.0]", error=f"Conversion of JSON Value: 1.0 to type: {dtype}"),
            columns_of(f"{dtype} in columns", dtype, "[1.0]", status=501, error=f"^Conversion of .* to type: {dtype}$"),
            columns_of(f"no {dtype}", dtype, "[]", text=columns("[]")),
            echo(f"rows of no {dtype}", dtype, "[[], []]", text=rows("[[], []")),
        ]
    ),
    echo("half precision out", "to_half", "[1.0]", error="^Failed to write JSON value for tensor type: half"),
]

STRINGS = [
    echo("text", "string", '["hello"]', text=rows('["hello"')),
    echo("text is UTF-8", "string", '["é😀"]', text=rows('["é😀"')),
    echo("escapes in", "string", '["\\u00e9\\ud83d\\ude00"]', text=rows('["é😀"')),
    echo("quotes and slashes", "string", '["\\"\\\\\\/"]', text=rows('["\\"\\\\/"')),
    echo("tab as it is", "string", '["\t"]', error="^JSON Parse error: "),
    echo("control characters", "string", '["\\b\\f\\n\\r\\t\\u001f"]', text=rows('["\\b\\f\\n\\r\\t\\u001F"')),
    echo("b64 to text", "string", '[{"b64": "aGVsbG8="}]', text=rows('["hello"')),
    echo("text to b64", "bytes", '["hello"]', text=rows('[{\n            "b64": "aGVsbG8="\n        }')),
    echo(
        "two b64",
        "bytes",
        '[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]',
        text=rows('[{\n            "b64": "aGVsbG8="\n        }, {\n            "b64": "d29ybGQ="\n        }'),
    ),
    echo("any byte", "bytes", '[{"b64": "AP+AfwA="}]', json={"predictions": [{"b64": "AP+AfwA="}]}),
    echo("empty b64", "bytes", '[{"b64": ""}]', json={"predictions": [{"b64": ""}]}),
    echo("nested b64", "bytes", '[[{"b64": "AA=="}]]', json={"predictions": [[{"b64": "AA=="}]]}),
    echo("b64 by name", "bytes", '[{"x": {"b64": "AA=="}}]', json={"predictions": [{"b64": "AA=="}]}),
    echo("b64 without padding", "string", '[{"b64": "aGk"}]', text=rows('["hi"')),
    echo("b64 padded by dots", "string", '[{"b64": "aGVsbG8."}]', text=rows('["hello"')),
    echo("b64 with blanks", "string", '[{"b64": " aG k=\\n"}]', text=rows('["hi"')),
    echo("b64 with blanks of other alphabets", "string", '[{"b64": "aG\\u00a0k="}]', error="Unable to base64 decode"),
    echo("b64 with too much padding", "string", '[{"b64": "aGk=="}]', error="Unable to base64 decode"),
    echo("b64 not in the alphabet", "bytes", '[{"b64": "!!!!"}]', error="Unable to base64 decode"),
    echo("b64 for URLs", "bytes", '[{"b64": "_-8="}]', error="Unable to base64 decode"),
    echo("b64 no string", "bytes", '[{"b64": 5}]', error="does not have named input: b64"),
    echo("b64 beside other keys", "bytes", '[{"b64": "AA==", "x": "a"}]', error="does not have named input: b64"),
    echo("no numbers for text", "string", "[5]", error="JSON Value: 5 Type: Number is not of expected type: string"),
    echo("no null for text", "string", "[null]", error="JSON Value: null Type: Null is not of expected type: string"),
]

CASES = [*NUMBERS, *STRINGS]
