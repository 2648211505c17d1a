"""Hostile requests, each made from a number: the same number makes the same request."""

import base64
import functools
import gzip
import io
import json
import random
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

PREDICT = "/v1/models/{}:predict"
# A decoder that believed its header would need more memory than the machine has.
_SIZES = [(9000, 9000), (30000, 30000), (65535, 65535), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1), (0, 0), (2**32 - 1, 1)]
_BODIES = [
    ("echo", '{"instances": [1.0, 2, -3e5, NaN]}'),
    ("echo", '{"signature_name": "string", "instances": ["text", "\\u00e9\\ud83d\\ude00"]}'),
    ("echo", '{"signature_name": "int64", "inputs": [[1, 2], [3, 4]]}'),
    ("echo", '{"signature_name": "bytes", "instances": [{"b64": "aGVsbG8="}, {"b64": ""}]}'),
    ("several", '{"instances": [{"a": 1.0, "b": 2}, {"a": 3.0, "b": 4}]}'),
    ("several", '{"inputs": {"a": [1.0], "b": [2]}}'),
    ("negative", '{"instances": [{"b64": "iVBORw0KGgo="}]}'),
]
_TOKENS = [
    *("[", "]", "{", "}", ",", ":", '"', "\\", "null", "true", "NaN", "-Infinity", "-", ".", "e", "1e999", "-0"),
    *("\\ud800", "\\u0000", "\x00", "\ufeff", "9" * 400, "1" + "0" * 5000, "0x10", '{"b64": "="}', "\\x", "/*", "'"),
    *('"instances":', '"inputs":', '"signature_name":', '"b64":', "[[[[]]]]", "{}", " " * 1000, "é", "1.0.0", "+1"),
]
_SIGNATURES = ["float32", "float64", "int8", "uint8", "int32", "int64", "uint64", "bool", "string", "bytes", "half"]
_WORDS = [
    *("v1", "V1", "models", "echo", "half_plus", "versions", "labels", "metadata", "1", "stable", "-1", "9" * 30),
    *("..", "%2e%2e", "%00", "%ff", "%", "%zz", "etc", "passwd", "demo", "healthz", "readyz", "monitoring", "é", "~"),
    *("echo:predict", "foo:predict", ":predict", "echo:classify", "a" * 3000, "?", "?a=b&a=%00", "#", ";", "\\", "*"),
]
_FIELDS = [
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding : chunked", b" folded"),
    *(b"Content-Length: 1, 2", b"Content-Length: +20", b"Host: b", b"Connection: close, \xff", b"\rX: y"),
    *(b"Expect: 100-continue", b"Connection: Upgrade\r\nUpgrade: websocket", b"X: y\r\n" * 500 + b"Y: z"),
]
_TARGETS = [
    *(b"*", b"//", b"http://", b"http://evil.example/", b"http://[::1]/v1/models", b"https:localhost", b"localhost:80"),
]
_VERBS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "get", "X" * 40]


@dataclass(frozen=True)
class Hostile:
    """A request; `raw` is what a socket gets instead, if it is not HTTP."""

    kind: str
    method: str = "POST"
    path: str = PREDICT.format("echo")
    body: bytes | None = None
    headers: dict = field(default_factory=dict)
    raw: bytes | None = None

    def __str__(self):
        content = self.raw if self.raw is not None else self.body or b""
        return f"{self.kind}: {self.method} {self.path[:200]} {self.headers} {content[:300]!r} ({len(content)} bytes)"


def request(number):
    """The request of this number."""
    chance = random.Random(number)
    return _KINDS[number % len(_KINDS)](chance)


def mutated(chance, content, most=8):
    """Some bytes changed, taken away, doubled or put in, or the end cut off."""
    content = bytearray(content)
    for _ in range(chance.randint(1, most)):
        place = chance.randrange(len(content) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            content[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            del content[place : place + chance.randint(1, 8)]
        elif kind == 2:
            content[place:place] = content[place : place + chance.randint(1, 32)]
        elif kind == 3:
            content[place:place] = chance.randbytes(chance.randint(1, 8))
        elif chance.random() < 0.3:
            del content[place:]
    return bytes(content)


def png_header(width, height):
    """The start of a PNG that claims a size, which is all that a decoder needs to make room for it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def jpeg_header(width, height):
    """The start of a JPEG that claims a size; its fields have 16 bits."""
    frame = struct.pack(">HBHHB", 17, 8, height % 65536, width % 65536, 3)
    return b"\xff\xd8\xff\xc0" + frame + bytes([1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1]) + b"\xff\xd9"


def flat_image(form, width, height):
    """A whole image of one color: a thousand times as large when decoded."""
    stream = io.BytesIO()
    Image.new("L", (width, height)).save(stream, form)
    return stream.getvalue()


def hidden_png(width, height):
    """A PNG whose size is not where it must be: decoders pass over the chunk before it, which claims 32 x 32."""
    name, claim = b"abCd", struct.pack(">IIBB", 32, 32, 8, 2)
    chunk = struct.pack(">I", len(claim)) + name + claim + struct.pack(">I", zlib.crc32(name + claim))
    image = flat_image("PNG", width, height)
    return image[:8] + chunk + image[8:]


def hidden_jpeg(width, height):
    """A JPEG whose size is in what looks like a segment: decoders pass over FF 00, and its length with it."""
    image = flat_image("JPEG", width, height)
    frame = image.index(b"\xff\xc0")
    end = frame + 2 + int.from_bytes(image[frame + 2 : frame + 4], "big")
    claim = jpeg_header(32, 32)[2:-2]
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(claim))
    skipped = image[2:end] + comment
    return b"\xff\xd8\xff\x00" + struct.pack(">H", 2 + len(skipped)) + skipped + claim + image[end:]


def images_body(*images):
    return json.dumps({"instances": [{"b64": base64.b64encode(image).decode()} for image in images]}).encode()


def _mutated_json(chance):
    model, text = chance.choice(_BODIES)
    return Hostile("mutated JSON", path=PREDICT.format(model), body=mutated(chance, text.encode()))


def _token_json(chance):
    """JSON that has tokens where none belong."""
    model, text = chance.choice(_BODIES)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(text) + 1)
        text = text[:place] + chance.choice(_TOKENS) + text[place + chance.choice((0, 0, 1, 5)) :]
    return Hostile("JSON with tokens", path=PREDICT.format(model), body=text.encode())


def _deep_json(chance):
    depth = chance.choice([10, 65, 255, 1000, 5000, 100_000])
    opening, middle, closing = chance.choice([("[", "1", "]"), ('{"a":', "1", "}"), ('{"b64":', '"AA=="', "}")])
    nest = opening * depth + middle + closing * chance.choice((0, depth))
    body = chance.choice(['{{"instances": {}}}', '{{"instances": [{}]}}', '{{"inputs": {}}}', "{}"]).format(nest)
    model = chance.choice(["echo", "several", "negative"])
    return Hostile(f"JSON {depth} deep", path=PREDICT.format(model), body=body.encode())


def _value(chance, depth=0):
    if depth < 4 and chance.random() < 0.4:
        return [_value(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    if depth < 4 and chance.random() < 0.2:
        return {chance.choice(["x", "a", "b64", "", "\x00"]): _value(chance, depth + 1) for _ in range(2)}
    return chance.choice([0, -1, 1.5, 2**31, 2**63, 2**64, -(2**200), 1e308, True, None, "", "é", "AA==", "\ud800"])


def _random_types(chance):
    """Values of any type and shape to signatures of another."""
    key = chance.choice(["instances", "inputs"])
    content = {"signature_name": chance.choice(_SIGNATURES), key: _value(chance)}
    return Hostile("types", body=json.dumps(content).encode())


def _picture(chance):
    pixels = np.frombuffer(chance.randbytes(24 * 24 * 3), "uint8").reshape(24, 24, 3)
    mode = chance.choice(["RGB", "L", "RGBA", "P", "1", "I;16"])
    form = chance.choice(["PNG", "PNG", "JPEG", "GIF", "BMP", "WEBP"])
    image = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode)
    image = image.convert("I;16") if mode == "I;16" else image
    stream = io.BytesIO()
    image.convert(image.mode if form == "PNG" else "RGB").save(stream, form)
    return stream.getvalue()


def _mutated_image(chance):
    image = _picture(chance)
    if chance.random() < 0.2:
        image = image[: chance.randrange(len(image))]
    body = images_body(*[mutated(chance, image, most=3) for _ in range(chance.choice((1, 1, 3)))])
    return Hostile("mutated image", path=PREDICT.format("negative"), body=body)


def _image_bomb(chance):
    width, height = chance.choice(_SIZES)
    image = chance.choice([png_header, jpeg_header])(width, height)
    if chance.random() < 0.5:
        image += chance.randbytes(2000)
    return Hostile(f"image of {width}x{height}", path=PREDICT.format("negative"), body=images_body(image))


@functools.cache
def _gzip_bombs():
    contents = (b" " * 50_000_000, b'{"instances": [' + b"1," * 10_000_000)
    return [gzip.compress(content, 1, mtime=0) for content in contents]


def _gzip(chance):
    """Bodies that unpack to too much, to nothing, or not at all."""
    content = b'{"instances": [1.0]}'
    packed = gzip.compress(content, mtime=0)
    broken = [packed * 1000, packed[:-4], mutated(chance, packed), zlib.compress(content), packed]
    body = chance.choice([*_gzip_bombs(), *broken])
    return Hostile("gzip", body=body, headers={"Content-Encoding": chance.choice(["gzip", "GZIP", "gzip, gzip"])})


def _headers(chance):
    headers = {
        chance.choice(["Content-Type", "Accept", "Origin", "Expect", "Host", "X-" + "a" * 500, "Content-Encoding"]): (
            chance.choice(["", "100-continue", "http://[", "a" * 7000, "\xff", "gzip;q=0", "identity", "*/*", "null"])
        )
    }
    return Hostile("headers", body=b'{"instances": [1.0]}', headers=headers)


def _url(chance):
    path = "/" + "/".join(chance.choice(_WORDS) for _ in range(chance.randint(1, 6)))
    if chance.random() < 0.5:
        path = "/v1/models" + path
    method = chance.choice(_VERBS)
    body = b'{"instances": [1.0]}' if method in ("POST", "PUT", "PATCH") else None
    return Hostile("URL", method, path.encode("utf-8").decode("latin-1"), body)


def _raw(chance):
    """What is no HTTP, or says a length that is not that of its body."""
    good = b'POST /v1/models/echo:predict HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 20\r\n\r\n{"instances": [1.0]}'
    doubled = [b"20\r\nContent-Length: 3", b"20\r\nTransfer-Encoding: chunked"]
    length = chance.choice([b"-1", b"21", b"0", b"x", b"2e1", b"1" + b"0" * 30, *doubled])
    chunks = good.replace(b"Content-Length: 20", b"Transfer-Encoding: chunked")
    content = chance.choice(
        [
            lambda: mutated(chance, good),
            lambda: good.replace(b"20", length),
            lambda: mutated(chance, chunks.replace(b'{"ins', b'14\r\n{"ins') + b"\r\n0\r\n\r\n", most=2),
            lambda: chunks.replace(b'{"ins', chance.choice([b"-1\r\n", b"f" * 40 + b"\r\n", b"zz\r\n"]) + b'{"ins'),
            lambda: chance.randbytes(chance.randint(1, 2000)),
            lambda: b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
            lambda: b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
            lambda: b"GET / HTTP/9.9\r\n\r\n",
            lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(500),
            lambda: good * 20,
            lambda: good.replace(b"\r\n", b"\r\n" + chance.choice(_FIELDS) + b"\r\n", 1),
            lambda: b"GET " + chance.choice(_TARGETS) + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ]
    )()
    return Hostile("raw", raw=content)


_KINDS = [
    *(_mutated_json, _token_json, _random_types, _mutated_image, _raw, _url, _mutated_json, _token_json),
    *(_deep_json, _image_bomb, _mutated_image, _headers, _random_types, _url, _raw, _mutated_image, _gzip),
]
