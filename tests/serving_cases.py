"""Requests over the toy models of serving_models.py, and TensorFlow Serving's replies."""

from dataclasses import dataclass, field
from typing import Any

MODELS = "/v1/models"
JSON = "application/json"
NOTHING = object()


@dataclass(frozen=True)
class Case:
    """A request and its reply: the `text` to the byte, the `json`, or a pattern that finds the `error`."""

    name: str
    path: str
    body: Any = None
    status: int = 200
    method: str = ""
    headers: dict = field(default_factory=dict)
    text: str | None = None
    json: Any = NOTHING
    error: str | None = None

    def verb(self):
        return self.method or ("GET" if self.body is None else "POST")


def ask(name, model, body, **expected):
    """A predict request; the status is 400 where an error is expected and nothing else is said."""
    status = expected.pop("status", 400 if "error" in expected else 200)
    return Case(name, f"{MODELS}/{model}:predict", body, status, **expected)


def echo(name, signature, values, **expected):
    """A request in rows to one signature of the model that answers what it is asked; `values` is JSON text."""
    return ask(name, "echo", f'{{"signature_name": "{signature}", "instances": {values}}}', **expected)


def rows(text):
    """The reply in rows that holds this text: the last bracket alone has a line of its own."""
    return f'{{\n    "predictions": {text}\n    ]\n}}'


def columns(text):
    return f'{{\n    "outputs": {text}\n}}'


HALF = f"{MODELS}/half_plus_two:predict"
GOOD = '{"instances": [1.0]}'
ONE_ROW = rows("[2.5")
TOO_BIG = "JSON Parse error: Number too big to be stored in double. at offset:"

ROUTES = [
    Case("predict", HALF, GOOD, text=ONE_ROW),
    Case("version", f"{MODELS}/half_plus/versions/1:predict", GOOD, text=ONE_ROW),
    Case("version with zeros before it", f"{MODELS}/half_plus/versions/0001:predict", GOOD, text=ONE_ROW),
    Case("folder with zeros before the number", f"{MODELS}/half_plus_two/versions/123:predict", GOOD, text=ONE_ROW),
    Case("label", f"{MODELS}/half_plus/labels/stable:predict", GOOD, text=ONE_ROW),
    Case("other label", f"{MODELS}/half_plus/labels/canary:predict", GOOD, text=rows("[3.5")),
    Case("newest of several", f"{MODELS}/half_plus:predict", GOOD, text=rows("[3.5")),
    Case("newest without labels", f"{MODELS}/newest:predict", GOOD, text=rows("[3.5")),
    Case("capitals", "/V1/Models/half_plus_two:predict", GOOD, text=ONE_ROW),
    Case("encoded name", f"{MODELS}/half%5Fplus%5ftwo:predict", GOOD, text=ONE_ROW),
    Case("encoded label", f"{MODELS}/half_plus/labels/%73table:predict", GOOD, text=ONE_ROW),
    Case("content type is ignored", HALF, GOOD, headers={"Content-Type": "text/plain"}, text=ONE_ROW),
    Case("body in chunks", HALF, [b'{"instances"', b": [1.0]}"], text=ONE_ROW),
    Case("no models route", MODELS, status=400, error="^Missing model name in request.$"),
    Case("query string", f"{HALF}?trace=1", GOOD, 400, error=r"^Malformed request: POST .*:predict\?trace=1$"),
    Case("query string as of a name", f"{MODELS}/half_plus_two?x", status=404, error=r"of model half_plus_two\?x$"),
    Case("models by POST", MODELS, GOOD, 400, error=f"^Malformed request: POST {MODELS}$"),
    Case("name of two parts", f"{MODELS}/half/plus", status=400, error="^Malformed request: GET "),
    Case("version in the singular", f"{MODELS}/half_plus/version/1:predict", GOOD, 400, error="^Malformed request"),
    Case("label in the singular", f"{MODELS}/half_plus/label/stable:predict", GOOD, 400, error="^Malformed request"),
    Case("unknown path", "/v1/foo", status=400, error="^Malformed request: GET /v1/foo$"),
    Case("bare prefix", "/v1/", status=400, error="^Malformed request: GET /v1/$"),
    Case("slash at the end", f"{MODELS}/half_plus_two/", status=400, error="^Malformed request: GET "),
    Case("empty name", f"{MODELS}/:predict", GOOD, 400, error="^Malformed request: POST /v1/models/:predict$"),
    Case("predict by GET", HALF, status=400, error=f"^Malformed request: GET {HALF}$"),
    Case("predict by PUT", HALF, GOOD, 400, method="PUT", error=f"^Malformed request: PUT {HALF}$"),
    Case("predict by DELETE", HALF, status=400, method="DELETE", error=f"^Malformed request: DELETE {HALF}$"),
    Case("status by POST", f"{MODELS}/half_plus_two", GOOD, 400, error="^Malformed request: POST "),
    Case("metadata by POST", f"{MODELS}/half_plus_two/metadata", GOOD, 400, error="^Malformed request: POST "),
    Case("unknown verb", f"{MODELS}/half_plus_two:guess", GOOD, 400, error="^Malformed request: POST "),
    Case("verb in capitals", f"{MODELS}/half_plus_two:PREDICT", GOOD, 400, error="^Malformed request: POST "),
    Case("version in words", f"{MODELS}/half_plus/versions/HELLO:predict", GOOD, 400, error="^Malformed request"),
    Case("negative version", f"{MODELS}/half_plus/versions/-1:predict", GOOD, 400, error="^Malformed request"),
    Case("version and label", f"{MODELS}/half_plus/versions/1/labels/stable:predict", GOOD, 400, error="^Malformed"),
    # TensorFlow Serving forgets to write the message, and sends no body.
    Case("version beyond 64 bits", f"{MODELS}/half_plus/versions/9223372036854775808:predict", GOOD, 400, text=""),
    Case("unknown model", f"{MODELS}/foo:predict", GOOD, 404, error=r"^Servable not found for request: Latest\(foo\)"),
    Case(
        "unknown version",
        f"{MODELS}/half_plus/versions/5:predict",
        GOOD,
        404,
        error=r"^Servable not found for request: Specific\(half_plus, 5\)",
    ),
    Case(
        "older version that is not served",
        f"{MODELS}/newest/versions/1:predict",
        GOOD,
        404,
        error=r"^Servable not found for request: Specific\(newest, 1\)",
    ),
    Case(
        "unknown label",
        f"{MODELS}/half_plus/labels/nope:predict",
        GOOD,
        400,
        error="^Unrecognized servable version label: nope",
    ),
    Case("label of a model without any", f"{MODELS}/newest/labels/stable:predict", GOOD, 400, error="^Unrecognized"),
    Case("classify", f"{MODELS}/half_plus_two:classify", '{"examples": [{"x": 1.0}]}', 400, error="."),
    Case("regress", f"{MODELS}/half_plus_two:regress", '{"examples": [{"x": 1.0}]}', 400, error="."),
]

AVAILABLE = {
    "model_version_status": [
        {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
}

STATUS = [
    Case("status", f"{MODELS}/half_plus_two", json=AVAILABLE),
    Case("metadata in capitals is the status", f"{MODELS}/half_plus_two/METADATA", json=AVAILABLE),
    Case(
        "status of a version",
        f"{MODELS}/half_plus/versions/1",
        json={
            "model_version_status": [
                {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            ]
        },
    ),
    Case("status of no model", f"{MODELS}/foo", status=404, error="^Could not find any versions of model foo$"),
    Case(
        "status of no version",
        f"{MODELS}/half_plus/versions/5",
        status=404,
        error="^Could not find version 5 of model half_plus$",
    ),
    Case(
        "metadata of no model",
        f"{MODELS}/foo/metadata",
        status=404,
        error=r"^Servable not found for request: Latest\(foo\)",
    ),
    Case("metadata of no version", f"{MODELS}/half_plus/versions/5/metadata", status=404, error="^Servable not found"),
]

REQUESTS = [
    ask("no body", "half_plus_two", "", error="^JSON Parse error: The document is empty"),
    ask("only space", "half_plus_two", "  \n", error="^JSON Parse error: The document is empty"),
    ask("no JSON", "half_plus_two", "hello", error="^JSON Parse error: Invalid value. at offset: 0$"),
    ask("no JSON, but almost", "half_plus_two", "instances = [1, 2]", error="^JSON Parse error: Invalid value"),
    ask("cut off", "half_plus_two", '{"instances": [1.0', error=r"^JSON Parse error: .* at offset: \d+"),
    ask("comma at the end", "half_plus_two", '{"instances": [1.0,]}', error="^JSON Parse error: "),
    ask("single quotes", "half_plus_two", "{'instances': [1.0]}", error="^JSON Parse error: "),
    ask("half a surrogate pair", "half_plus_two", '{"instances": ["\\ud800"]}', error="^JSON Parse error: "),
    ask(
        "no fraction",
        "half_plus_two",
        '{"instances": [1.]}',
        error="^JSON Parse error: Miss fraction part in number.",
    ),
    ask("no exponent", "half_plus_two", '{"instances": [1e]}', error="^JSON Parse error: Miss exponent in number."),
    ask("number beyond a double", "half_plus_two", '{"instances": [1e400]}', error=f"^{TOO_BIG} 15$"),
    ask("number beyond a double, ignored", "half_plus_two", '{"x": {"y": -1e400}, "instances": [1.0]}', error=TOO_BIG),
    ask("long integer, ignored", "half_plus_two", f'{{"x": [{"9" * 400}], "instances": [1.0]}}', error=f"{TOO_BIG} 7$"),
    ask("longer integer, ignored", "half_plus_two", f'{{"instances": [1.0], "x": {"1" * 9000}}}', error=TOO_BIG),
    ask("an array", "half_plus_two", "[1.0]", error=r"Is not object"),
    ask("a number", "half_plus_two", "1", error="Is not object"),
    ask("text after the object", "half_plus_two", '{"instances": [1.0]} and so on', text=ONE_ROW),
    ask("no key", "half_plus_two", "{}", error="^Missing 'inputs' or 'instances' key"),
    ask("both keys", "half_plus_two", '{"instances": [1.0], "inputs": [1.0]}', error="expecting only one of 'inputs'"),
    ask("instances no array", "half_plus_two", '{"instances": 1.0}', error="Expecting 'instances' to be an list/array"),
    ask("no instances", "half_plus_two", '{"instances": []}', error="No values in 'instances' array"),
    ask(
        "signature no string",
        "half_plus_two",
        '{"signature_name": 5, "instances": [1.0]}',
        error="'signature_name' key must be a string value.",
    ),
    ask("signature empty", "half_plus_two", '{"signature_name": "", "instances": [1.0]}', text=ONE_ROW),
    ask(
        "signature unknown",
        "half_plus_two",
        '{"signature_name": "x", "instances": [1.0]}',
        error='^Serving signature name: "x" not found in signature def',
    ),
    ask("further keys", "half_plus_two", '{"instances": [1.0], "note": {"by": ["me"]}}', text=ONE_ROW),
    ask("key that comes twice", "half_plus_two", '{"instances": [1.0], "instances": [2.0]}', text=ONE_ROW),
    ask("assertion in the graph", "refuse", '{"instances": [-1.0]}', error="not positive"),
]

ROWS = [
    ask("rows", "half_plus_two", '{"instances": [1.0, 2.0, 5.0]}', text=rows("[2.5, 3.0, 4.5")),
    ask("rows by name", "half_plus_two", '{"instances": [{"x": 1}, {"x": 2}]}', text=rows("[2.5, 3.0")),
    echo("rows of arrays", "float32", "[[1, 2], [3, 4]]", text=rows("[[1.0, 2.0], [3.0, 4.0]")),
    echo("rows of deeper arrays", "int32", "[[[1, 2], [3, 4]]]", text=rows("[[[1, 2], [3, 4]]")),
    echo("rows of empty arrays", "float32", "[[], []]", text=rows("[[], []")),
    echo("rows of two sizes", "int32", "[[1, 2], [3]]", error="Expecting tensor size: 2 but got: 1"),
    echo("rows of two ranks", "int32", "[1, [1]]", error=r"Expecting shape \[\] but got: \[1\]"),
    echo("rows of two shapes", "int32", "[[1], [[1]]]", error=r"Expecting shape \[1\] but got: \[1,1\]"),
    echo("ragged row", "int32", "[[[1, 2], [3]]]", error="list at unexpected size: 1 at level: 1 expected size: 2"),
    echo("number beside an array", "int32", "[[[1], 2]]", error="found at incorrect level: 2 in the JSON DOM"),
    echo("array beside a number", "int32", "[[1, [2]]]", error="Encountered list at unexpected level: 1 expected < 1"),
    echo("object after a value", "float32", '[1, {"x": 1}]', error="Expecting value/list but got object at item 1"),
    echo("value after an object", "float32", '[{"x": 1}, 1]', error="Expecting object but got list at item 1"),
    echo("wrong name", "float32", '[{"z": 1}]', error="does not have named input: z"),
    echo("name beside others", "float32", '[{"x": 1, "z": 2}]', error="^Failed to process element: 0 key: z"),
    ask(
        "several inputs",
        "several",
        '{"instances": [{"a": 3.0, "b": 1}, {"a": 1, "b": 2}]}',
        json={"predictions": [{"sum": 4.0, "difference": 2.0}, {"sum": 3.0, "difference": -1.0}]},
    ),
    ask("an input missing", "several", '{"instances": [{"a": 3.0}]}', error="^Failed to process element: 0 "),
    ask("second lacks an input", "several", '{"instances": [{"a": 3, "b": 1}, {"a": 1}]}', error="element: 1 "),
    ask("several as a list", "several", '{"instances": [1.0]}', error="^instances is a plain list, but expecting list"),
    ask(
        "several types",
        "several",
        '{"signature_name": "typed", "instances": [{"text": "é", "number": 1, "flag": true, "byte": 255}]}',
        json={"predictions": [{"text_bytes": {"b64": "w6k="}, "number": 2, "flag": False, "byte": 255}]},
    ),
    ask("output without rows", "several", '{"signature_name": "total", "instances": [1, 2]}', error="Tensor name: y "),
    ask("outputs of two lengths", "several", '{"signature_name": "uneven", "instances": [1]}', error="batch size: "),
]

COLUMNS = [
    ask("columns", "half_plus_two", '{"inputs": [1.0, 2.0]}', text=columns("[\n        2.5,\n        3.0\n    ]")),
    ask("columns by name", "half_plus_two", '{"inputs": {"x": [1]}}', text=columns("[\n        2.5\n    ]")),
    ask("scalar column", "echo", '{"inputs": 1}', text=columns("1.0")),
    ask("empty column", "echo", '{"inputs": []}', text=columns("[]")),
    ask(
        "column of arrays",
        "echo",
        '{"inputs": [[1, 2], [3, 4]]}',
        text=columns(
            "[\n        [\n            1.0,\n            2.0\n        ],\n"
            "        [\n            3.0,\n            4.0\n        ]\n    ]"
        ),
    ),
    ask(
        "bytes in a column",
        "echo",
        '{"signature_name": "bytes", "inputs": [{"b64": "aGVsbG8="}]}',
        text=columns('[\n        {\n            "b64": "aGVsbG8="\n        }\n    ]'),
    ),
    ask(
        "bytes as a scalar",
        "echo",
        '{"signature_name": "bytes", "inputs": {"b64": "aGVsbG8="}}',
        text=columns('{\n        "b64": "aGVsbG8="\n    }'),
    ),
    ask(
        "several columns, further keys ignored",
        "several",
        '{"inputs": {"a": [3.0, 1.0], "b": [1, 2], "c": "x"}}',
        json={"outputs": {"sum": [4.0, 3.0], "difference": [2.0, -1.0]}},
    ),
    ask(
        "columns of two lengths",
        "several",
        '{"signature_name": "uneven", "inputs": [1]}',
        json={"outputs": {"once": [1.0], "twice": [1.0, 1.0]}},
    ),
    ask("sum in a column", "several", '{"signature_name": "total", "inputs": [1, 2]}', text=columns("3.0")),
    ask("column missing", "several", '{"inputs": {"a": [3.0]}}', error="^Missing named input: b in 'inputs' object."),
    ask("columns as a list", "several", '{"inputs": [1.0]}', error="^inputs is a plain value/list, but expecting an"),
    ask("ragged columns", "echo", '{"inputs": [[1, 2], [3]]}', error="^Encountered list at unexpected size: 1 at"),
]

CASES = [*ROUTES, *STATUS, *REQUESTS, *ROWS, *COLUMNS]
