"""Hostile checkpoint files: always a `ValueError` in one line or arrays, in bounded memory, and nothing is ever run.

CHECKPOINT_MUTATIONS=20000 pytest tests/test_checkpoint_fuzz.py        # 400 without
python tests/test_checkpoint_fuzz.py 20000                             # prints the figures
"""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
import types
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "data" / "checkpoints"
MUTATIONS = int(os.environ.get("CHECKPOINT_MUTATIONS", "400"))
MEGABYTE = 2**20
HUGE = (2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1, 0)
UNCHECKED = "without_checksums.pth"  # every mutation of it goes past the checksums as it is
MARKER = "run-by-a-checkpoint"
# What would show that a file was able to do something; reading one opens it and nothing else.
EVENTS = ("exec", "compile", "import", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "pickle.", "marshal.")


def import_without_tensorflow():
    """The modules alone: the package's own `__init__` would import TensorFlow, whose memory hides theirs."""
    for name in ("tf_cyclegan", "tf_cyclegan.weights", "tf_cyclegan.weights.pytorch"):
        module = types.ModuleType(name)
        module.__path__ = [str(ROOT / name.replace(".", "/"))]
        sys.modules[name] = module
    from tf_cyclegan.weights.pytorch.reading import read_checkpoint
    from tf_cyclegan.weights.pytorch.writing import write_checkpoint

    assert "tensorflow" not in sys.modules and "torch" not in sys.modules
    return read_checkpoint, write_checkpoint


# ---- files --------------------------------------------------------------------------------------------------------


def records_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(records, compression=zipfile.ZIP_STORED):
    """A zip file with right checksums, so that what is wrong inside is reached."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return file.getvalue()


def archive_of_pickle(pickled, numbers=bytes(24)):
    return archive_of({"net/data.pkl": pickled, "net/byteorder": b"little", "net/data/0": numbers})


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def integer(value):
    return b"\x8a\x11" + value.to_bytes(17, "little", signed=True) if value.bit_length() > 120 else long_integer(value)


def long_integer(value):
    return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)


def tensor(shape=(2, 3), strides=(3, 1), offset=0, count=6, kind=b"FloatStorage"):
    """The pickle of a tensor, which may lie."""
    storage = b"(" + text(b"storage") + b"ctorch\n" + kind + b"\n" + text(b"0") + text(b"cpu") + integer(count) + b"tQ"
    sizes, steps = (b"(" + b"".join(map(integer, values)) + b"t" for values in (shape, strides))
    end = b"\x89ccollections\nOrderedDict\n)RtR"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + integer(offset) + sizes + steps + end


def pickle_of(*items):
    """A pickled dict of texts and pickled values."""
    return b"\x80\x02}(" + b"".join(text(name) + value for name, value in items) + b"u."


class Payload:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def payloads(marker):
    """Pickles that leave a marker where they are run, by every opcode that calls or looks up."""
    command = f"touch {marker}"
    code = f"open({marker!r}, 'w')"
    calls = [(os.system, command), (eval, code), (exec, code), (subprocess.check_output, ["touch", marker])]
    calls += [(__import__, "os"), (open, marker, "w"), (os.mkdir, marker)]
    made = [pickle.dumps({"w": Payload(*call)}, protocol) for call in calls for protocol in (0, 1, 2, 4)]
    line = command.encode()
    made += [
        b"\x80\x02(S'" + line + b"'\nios\nsystem\n.",
        b"\x80\x02(cos\nsystem\nX" + struct.pack("<I", len(line)) + line + b"o.",
    ]
    made += [
        b"\x80\x02cos\nsystem\n" + text(line) + tail for tail in (b"\x85R.", b"\x85\x81.", b"}\x92.", b"b.", b"Q.")
    ]
    made += [b"\x80\x02" + text(b"os") + text(b"system") + b"\x93" + text(line) + b"\x85R.", b"\x80\x02\x82\x01."]
    names = (b"torch._utils\n__builtins__", b"torch\nload", b"collections\n_sys.modules", b"torch.serialization\nload")
    return made + [b"\x80\x02c" + name + b"\n" + text(line) + b"\x85R." for name in names]


def payload_files(marker, legacy):
    """The pickles alone, as a value inside a good dict, and as every part of a stream."""
    head = legacy[:15]
    for made in payloads(marker):
        inner = made[2:-1] if made.startswith(b"\x80") else made[:-1]
        yield made
        yield archive_of_pickle(made)
        yield archive_of_pickle(pickle_of((b"good", tensor()), (b"bad", inner)))
        yield head + made
        yield head + b"\x80\x02M\xe9\x03." + made
        yield head + b"\x80\x02M\xe9\x03.\x80\x02}." + made
        yield head + b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02}." + made


def doubled(number):
    """A dict that holds the one before twice: 60 of them hold more items than a machine can count."""
    kept = bytes([number])
    return (
        text(b"%d" % (number + 1))
        + b"}("
        + text(b"a")
        + b"h"
        + kept
        + text(b"b")
        + b"h"
        + kept
        + b"uq"
        + bytes([number + 1])
    )


def cheap_tensors(count, name=b""):
    """Tensors of 32 dimensions for four steps each."""
    function, arguments = tensor((1,) * 32, (0,) * 32)[:-1].split(b"\n(", 1)
    items = [text(name + b"%d" % i) + b"h\0h\1R" for i in range(count)]
    return b"}(" + text(b"f") + function + b"\nq\0" + text(b"g") + b"(" + arguments + b"q\1" + b"".join(items) + b"u"


def bombs():
    """Small files that ask for much: each a name and a file."""
    yield "stride 0", archive_of_pickle(pickle_of((b"w", tensor((10**9,), (0,)))))
    many = [(b"%d" % i, tensor((4 * MEGABYTE + i,), (0,))) for i in range(1000)]
    yield "many of stride 0", archive_of_pickle(pickle_of(*many))
    for name, values in {
        "shape": {"shape": (2**62, 2**62), "strides": (1, 1)},
        "empty shape": {"shape": (0, 2**62, 2**62), "strides": (1, 1, 1)},
        "empty far away": {"shape": (0, 3), "strides": (2**119, 2**119), "offset": 2**119},
        "dimensions": {"shape": (1,) * 1000, "strides": (1,) * 1000},
        "negative size": {"shape": (-2, 3)},
        "negative stride": {"strides": (-3, 1), "offset": 5},
        "negative offset": {"offset": -1},
        "outside": {"offset": 1},
        "stride": {"strides": (2**40, 1)},
        "wide integers": {"shape": (2**119,), "strides": (2**119,)},
        "wider integers": {"shape": (2**125,), "strides": (1,)},
        "storage": {"count": 2**40, "shape": (2**38,), "strides": (1,)},
        "wider storage": {"count": 7},
        "unequal": {"strides": (1,)},
    }.items():
        yield name, archive_of_pickle(pickle_of((b"w", tensor(**values))))
    for name, opcodes in {
        "memo index": b"}r\xff\xff\xff\xff",
        "lists": b"]" * 3 * MEGABYTE,
        "dicts": b"}" * 3 * MEGABYTE,
        "marks": b"(" * 3 * MEGABYTE,
        "small dicts": b"}K\x01Ns" * 30_000,
        "nested tuples": b")" + b"\x85" * 100_000,
        "tuple as key": b"})" + b"\x85" * 100_000 + b"Ns",
        "list in itself": b"]q\0h\0ah\0",
        "colliding keys": b"}(" + b"".join(integer(i * (2**61 - 1)) + b"N" for i in range(50_000)) + b"u",
        "copied list": b"](" + b"](K\x01Nee"[:-1] * 10_000 + b"eq\0" + b"ccollections\nOrderedDict\nh\0\x85R" * 10_000,
        "long text": b"X\xff\xff\xff\xff",
        "long number": b"\x8b\xff\xff\xff\x7f",
        "long bytes": b"\x8e" + b"\xff" * 8,
        "long frame": b"\x95" + b"\xff" * 8,
        "wide text": text("\U0001f600".encode() + b"a" * (3 * MEGABYTE)),
        "no stack": b"0" * 10,
        "marked tuple": b"(K\x01\x87",
        "too long": b"N" * 5 * MEGABYTE,
        "doubled": b"}(" + text(b"0") + b"}q\0" + b"".join(map(doubled, range(60))) + b"u",
        "cheap tensors": cheap_tensors(10_000),
        "tensors of one name": cheap_tensors(5000, b"a" * 500),
        "dict in itself": b"}q\0" + text(b"model") + b"h\0s",
        "long names": b"}q\0" + text(b"a" * MEGABYTE) + b"}s",
    }.items():
        yield name, archive_of_pickle(b"\x80\x02" + opcodes + b".")
    nested = tensor()
    for _ in range(30):
        nested = b"}" + text(b"a" * 400) + nested + b"s"
    yield "nested names", archive_of_pickle(b"\x80\x02" + nested + b".")
    zeros = {"net/data.pkl": pickle_of((b"w", tensor())), "net/data/0": bytes(100 * MEGABYTE)}
    yield "deflated", archive_of(zeros, zipfile.ZIP_DEFLATED)
    yield "many records", archive_of({f"net/{i}": b"" for i in range(30_000)})
    for count in HUGE:
        yield "header", struct.pack("<Q", count) + b'{"a":'
    for inside in (b"[" * 1_000_000, b'{"a":' * 100_000, b"[" + b"{}," * 330_000 + b"{}]", b"9" * 500_000, b"9" * 4000):
        header = b'{"a":' + inside + b"}"
        yield "JSON", struct.pack("<Q", len(header)) + header


def honest(size=80 * MEGABYTE):
    """Files so large that a third copy of them would break the promise on memory."""
    yield "float32", archive_of_pickle(pickle_of((b"w", tensor((size // 4,), (1,), 0, size // 4))), bytes(size))
    for name, shape, strides in (("bfloat16", (size // 2,), (1,)), ("transposed", (size // 8, 4), (1, size // 8))):
        pickled = pickle_of((b"w", tensor(shape, strides, 0, size // 2, b"BFloat16Storage")))
        yield name, archive_of_pickle(pickled, bytes(size))


# ---- mutations ------------------------------------------------------------------------------------------------------


def mutated(random, seeds):
    """A seed with one to three changes; of zip files also with changed records and right checksums."""
    name = str(random.choice(sorted(seeds)))
    data = seeds[name]
    if data.startswith(b"PK") and name != UNCHECKED and random.random() < 0.7:
        records = records_of(data)
        inside = str(random.choice([key for key in records if key.endswith("data.pkl")] * 3 + list(records)))
        records[inside] = changed(random, records[inside])
        return None, archive_of(records)
    if data[8:9] == b"{" and random.random() < 0.7:
        return None, changed_header(random, data)
    for _ in range(random.integers(1, 4)):
        data = changed(random, data)
    return name, data


def changed(random, data):
    data = bytearray(data or b"\0")
    place, other = sorted(int(i) for i in random.integers(0, len(data), 2))
    match random.integers(0, 7):
        case 0:
            for position in random.integers(0, len(data), random.integers(1, 9)):
                data[position] ^= 1 << int(random.integers(0, 8))
        case 1:
            del data[place:]
        case 2:
            del data[place : min(other, place + 64)]
        case 3:
            data[place:place] = data[other : other + 64]
        case 4:
            width = int(random.choice([1, 2, 4, 8]))
            value = int(random.choice(np.array(HUGE, "uint64"))) % 256**width
            data[place : place + width] = value.to_bytes(width, random.choice(["little", "big"]))
        case 5:
            data[place : place + 1] = bytes(
                [random.choice(list(b"()]}.tRQbcqrhjsuaeNXUTKMJG0123\x80\x81\x85\x86\x87\x8a\x93\x94"))]
            )
        case 6:
            data[place : place + 16] = random.bytes(16)
    return bytes(data)


def changed_header(random, data):
    """Another number, dtype or name in the JSON of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    entry = header[str(random.choice(sorted(header)))]
    value = random.choice(np.array([-1, 1, 2**62, 3], object))
    choices = [value, str(value), None, [value], {"a": value}, "F64", "BF16", 1e308, True]
    key = str(random.choice(sorted(entry)))
    if isinstance(entry[key], list) and entry[key] and random.random() < 0.6:
        entry[key][random.integers(0, len(entry[key]))] = choices[random.integers(0, len(choices))]
    else:
        entry[key] = choices[random.integers(0, len(choices))]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


# ---- the process that reads them ------------------------------------------------------------------------------------


class Watch:
    """Reads files and keeps what each cost and did."""

    def __init__(self, read, path):
        self.read, self.path, self.reading, self.events = read, str(path), False, []
        self.figures = {"files": 0, "refused": 0, "read": 0, "slowest": 0.0, "memory": 0, "errors": []}
        sys.addaudithook(self.hear)

    def hear(self, event, arguments):
        if self.reading and (event.startswith(EVENTS) or (event == "open" and arguments[0] != self.path)):
            self.events.append(f"{event} {arguments}")

    def __call__(self, label, data, original=None):
        Path(self.path).write_bytes(data)
        tracemalloc.reset_peak()
        before, started = tracemalloc.get_traced_memory()[0], time.perf_counter()
        state = self.attempt(label)
        seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1] - before
        self.count(label, seconds, peak, peak - 2 * len(data))
        if state is not None and original is not None:
            # Every record is under a checksum, so what is read is right.
            self.expect(label, equal(state, original), "other weights")

    def attempt(self, label):
        self.reading = True
        try:
            state = self.read(self.path)
        except ValueError as error:
            self.figures["refused"] += 1
            whole = str(error).startswith("`path` must be") and repr(self.path) in str(error) and "\n" not in str(error)
            self.expect(label, whole, f"unclear: {error}")
            return None
        except BaseException as error:
            return self.expect(label, False, repr(error))
        finally:
            self.reading = False
        self.figures["read"] += 1
        self.expect(label, all(isinstance(value, np.ndarray) for value in state.values()), "no arrays")
        return state

    def count(self, label, seconds, peak, beyond):
        self.figures["files"] += 1
        self.figures["slowest"] = max(self.figures["slowest"], seconds)
        self.figures["memory"] = max(self.figures["memory"], beyond)
        self.expect(label, beyond < 64 * MEGABYTE, f"{peak} bytes of memory")
        self.expect(label, seconds < 20, f"{seconds} s")

    def expect(self, label, true, otherwise):
        if not true:
            self.figures["errors"].append(f"{label}: {otherwise}")


def equal(state, original):
    return sorted(state) == sorted(original) and all(np.array_equal(state[name], original[name]) for name in state)


def seed_files(write, folder):
    """Files of every kind, in both formats."""
    seeds = {path.name: path.read_bytes() for path in FOLDER.glob("*.pt*")}
    numbers = {"a.weight": np.ones((2, 3), "float32"), "b": np.arange(4), "half": np.ones(3, "float16")}
    for name in ("own.pth", "own.safetensors"):
        write(folder / name, numbers)
        seeds[name] = (folder / name).read_bytes()
    return seeds


def run(mutations, folder):
    """Reads all hostile files in this process and returns the figures."""
    read, write = import_without_tensorflow()
    seeds = seed_files(write, folder)
    originals = {}
    for name, data in seeds.items():
        if data.startswith(b"PK") and name not in ("module.pth", UNCHECKED):
            (folder / name).write_bytes(data)
            originals[name] = read(folder / name)
    marker, random = folder / MARKER, np.random.default_rng(0)
    watch = Watch(read, folder / "hostile.pth")
    tracemalloc.start()
    for data in payload_files(str(marker), seeds["stream.pth"]):
        watch("payload", data)
        watch.expect("payload", watch.figures["read"] == 0, "read")
    for name, data in bombs():
        watch(f"bomb {name}", data)
    read_before = watch.figures["read"]
    for name, data in honest():
        watch(f"honest {name}", data)
    watch.expect("honest", watch.figures["read"] == read_before + 3, "refused")
    for number in range(mutations):
        name, data = mutated(random, seeds)
        watch(f"mutation {number}", data, originals.get(name))
    watch.expect("all", not watch.events, f"events {watch.events[:5]}")
    watch.expect("all", not marker.exists(), "the marker was made")
    return watch.figures


def test_hostile_files(tmp_path):
    command = [sys.executable, __file__, str(MUTATIONS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout)
    assert figures["errors"] == []
    assert figures["files"] >= MUTATIONS and figures["read"] > MUTATIONS / 50 and figures["refused"] > MUTATIONS / 2


if __name__ == "__main__":
    import tempfile

    sys.path[:0] = [str(ROOT)]
    with tempfile.TemporaryDirectory() as temporary:
        sys.stdout.write(json.dumps(run(int(sys.argv[1]), Path((sys.argv[2:] or [temporary])[0]))) + "\n")
