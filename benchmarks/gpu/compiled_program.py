"""What a program does that XLA has compiled for a GPU, read from its text."""

import collections
import dataclasses
import math
import re

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
_START = re.compile(r"^(ENTRY )?%?([\w.$-]+) \(.*\{$")
_LINE = re.compile(r"^\s+(?:ROOT )?%([\w.$-]+) = (\(.*?\)|\S+) ([a-z][\w-]*)\((.*)$")
_CALLED = re.compile(r"(?:body|condition|to_apply|\w+_computations?)=\{?([^}]*?)(?=\}|, \w+=|$)")
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota"}
_CONTROL = {"while", "conditional", "call"}


@dataclasses.dataclass
class Line:
    """An instruction that is launched: its name, kind, result's shape, and bytes read and written."""

    name: str
    kind: str
    shape: str
    moved: int


def arrays(shape):
    """`(dtype, sides)` of each array in a shape, which may be a tuple's."""
    found = re.findall(r"\b(\w+)\[([\d,]*)\]", shape)
    return [(dtype, [int(n) for n in sides.split(",") if n]) for dtype, sides in found if dtype in _BYTES]


def size(shape):
    return sum(_BYTES[dtype] * math.prod(sides) for dtype, sides in arrays(shape))


def computations(text):
    """`({name: matches of its lines}, name of the entry)`."""
    found, lines, entry = {}, [], None
    for line in text.splitlines():
        if start := _START.match(line):
            lines = found.setdefault(start[2], [])
            entry = start[2] if start[1] else entry
        elif match := _LINE.match(line):
            lines.append(match.groups())
    return found, entry


def launched(text):
    """The `Line`s of the entry and of what it calls, once each; inside fusions nothing is launched."""
    found, entry = computations(text)
    waiting, seen = [entry], set()
    while waiting:
        name = waiting.pop()
        if name not in found or name in seen:
            continue
        seen.add(name)
        shapes = {instruction: shape for instruction, shape, _, _ in found[name]}
        for instruction, shape, kind, rest in found[name]:
            if kind in _CONTROL:
                called = ",".join(_CALLED.findall(rest))
                waiting += [other.strip().lstrip("%") for other in called.split(",")]
            if kind not in _FREE:
                yield _line(instruction, kind, shape, rest, shapes)


def _line(name, kind, shape, rest, shapes):
    operands = re.findall(r"%([\w.$-]+)", rest.split("), ")[0])
    moved = 0 if kind in _CONTROL else size(shape) + sum(size(shapes.get(operand, "")) for operand in operands)
    target = re.search(r'custom_call_target="([^"]*)"', rest)
    return Line(name, target[1] if target else kind, shape, moved)


def facts(text):
    """Counts of what is launched, and megabytes moved, as a dict."""
    lines = list(launched(text))
    counts = collections.Counter(line.kind for line in lines)
    of = {
        "convolutions (cuDNN)": [line for line in lines if line.kind.startswith("__cudnn")],
        "fusions": [line for line in lines if line.kind == "fusion"],
        "transposes": [line for line in lines if "transpose" in line.name],
        "copies": [line for line in lines if line.kind == "copy"],
        "converts alone": [line for line in lines if "convert" in line.name and "fusion" not in line.name],
    }
    found = {"launched": len([line for line in lines if line.kind not in _CONTROL])}
    found |= {name: len(group) for name, group in of.items()}
    found |= {f"{kind}s": counts[kind] for kind in ("conditional", "while")}
    found |= {
        f"moved by {name} (MB)": _megabytes(of[name]) for name in ("convolutions (cuDNN)", "transposes", "copies")
    }
    found["float32 images written (MB)"] = _float32_images(lines)
    return found | {"moved (MB)": _megabytes(lines)}


def _megabytes(lines):
    return round(sum(line.moved for line in lines) / 1e6)


def _float32_images(lines):
    """Megabytes of float32 of rank 4 that begin with a batch of at most 2: filters begin with larger sides."""
    written = [array for line in lines if line.kind == "fusion" for array in arrays(line.shape)]
    images = [sides for dtype, sides in written if dtype == "f32" and len(sides) == 4 and sides[0] <= 2]
    return round(sum(4 * math.prod(sides) for sides in images) / 1e6)
