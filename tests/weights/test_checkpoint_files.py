"""Checkpoint files: what PyTorch wrote is read exactly, what is written it reads, what is no weights is named."""

import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, TESTS, part

from tf_cyclegan.pytorch import read_checkpoint, write_checkpoint
from tf_cyclegan.weights.pytorch.torch_files import read_regions

FOLDER = TESTS / "data" / "checkpoints"
EXPECTED = dict(np.load(FOLDER / "expected.npz"))
KINDS, WEIGHTS = part(EXPECTED, "kinds/"), part(EXPECTED, "weights/")
SHARED = ROOT.parent / "shared" / "golden"
DTYPES = [
    "float16",
    "float32",
    "float64",
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
]
STREAM_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."


def assert_equal(state, expected):
    assert sorted(state) == sorted(expected)
    for name, value in expected.items():
        assert (state[name].dtype, state[name].shape) == (value.dtype, value.shape), name
        assert state[name].tobytes() == value.tobytes(), name


def archive_of(value=None, records=None, compression=zipfile.ZIP_STORED):
    """A zip file of records; without them, of one pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in (records or {"data.pkl": pickle.dumps(value, 2)}).items():
            archive.writestr(f"net/{name}", data)
    return file.getvalue()


def records_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def written(folder, data, name="net.pth"):
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["zip.pth", "stream.pth"])
def test_every_kind_of_tensor_is_read_exactly(name):
    state = read_checkpoint(FOLDER / name)
    assert_equal(state, KINDS)
    assert list(state)[:2] == ["convolution.weight", "transposed"]
    assert all(value.flags.writeable for value in state.values())


@pytest.mark.parametrize("name", ["training.pth", "training_stream.pth", "parallel.pth", "without_checksums.pth"])
def test_weights_are_found_in_what_wraps_them(name):
    assert_equal(read_checkpoint(FOLDER / name), WEIGHTS)


def test_domains_are_prefixes():
    expected = {f"{domain}.{name}": value for domain in "ab" for name, value in WEIGHTS.items()}
    assert_equal(read_checkpoint(FOLDER / "domains.pt"), expected)


def test_unsigned_integers_of_young_pytorch():
    assert_equal(read_checkpoint(FOLDER / "unsigned.pth"), {"uint16": np.arange(3, dtype="uint16")})


def test_kind_is_told_by_content(tmp_path):
    path = written(tmp_path, (FOLDER / "stream.pth").read_bytes(), "net.safetensors")
    assert_equal(read_checkpoint(str(path)), KINDS)


def test_big_endian_records_are_swapped(tmp_path):
    write_checkpoint(tmp_path / "net.pth", {"a": np.arange(6, dtype="float32"), "b": np.arange(3, dtype="int64")})
    records = records_of(tmp_path / "net.pth")
    records |= {"byteorder": b"big", "data/0": np.arange(6, dtype=">f4").tobytes()}
    records["data/1"] = np.arange(3, dtype=">i8").tobytes()
    state = read_checkpoint(written(tmp_path, archive_of(records=records)))
    assert_equal(state, {"a": np.arange(6, dtype="float32"), "b": np.arange(3)})


def test_directories_of_files_above_4_gigabytes(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    write_checkpoint(tmp_path / "net.pth", WEIGHTS)
    data = bytearray((tmp_path / "net.pth").read_bytes())
    assert data[-42:-38] == b"PK\6\7"
    data[-6:-2] = b"\xff" * 4  # the position of the directory now stands in the wide record alone
    assert_equal(read_checkpoint(written(tmp_path, data)), WEIGHTS)


def test_stream_of_python_2_and_the_first_tensors(tmp_path):
    """Byte strings for text, a list of pairs for the dict, and a storage that is a part of another."""
    storage = b"(U\x07storagectorch.cuda\nFloatStorage\nU\x0242U\x06cuda:0K\x06(U\x0243K\x02K\x04ttQ"
    tensor = b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\x01(K\x03t(K\x01ttR"
    value = b"\x80\x02ccollections\nOrderedDict\n(](" + b"](U\x04bias" + tensor + b"ee" + b"tR."
    keys = b"\x80\x02](U\x0242e."
    numbers = struct.pack("<q6f", 6, *range(6))
    state = read_checkpoint(written(tmp_path, STREAM_START + value + keys + numbers))
    assert_equal(state, {"bias": np.array([3, 4, 5], "float32")})


def random_state(random):
    """Some arrays of any dtype, bits, shape and name, in any order of axes."""
    state = {}
    for _ in range(random.integers(1, 6)):
        shape = tuple(random.integers(0, 5, random.integers(0, 6)))
        dtype = np.dtype(random.choice(DTYPES))
        numbers = random.integers(0, 2 if dtype == "bool" else 256, (*shape, dtype.itemsize), "uint8")
        name = "".join(map(chr, random.choice([*range(32, 1000), 10, 0, 0x4E2D, 0x1F600], random.integers(1, 30))))
        state[name] = numbers.view(dtype)[..., 0].transpose(random.permutation(len(shape)))
    return state


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_dicts_of_dicts_come_back_by_dotted_names(tmp_path, suffix):
    path = tmp_path / f"gen{suffix}"
    write_checkpoint(path, {"a": {"enc.bias": np.ones(2)}, "b": {"enc.bias": np.zeros(3)}})
    assert {name: value.shape for name, value in read_checkpoint(path).items()} == {
        "a.enc.bias": (2,),
        "b.enc.bias": (3,),
    }
    with pytest.raises(ValueError, match="every dotted name once"):
        write_checkpoint(path, {"a": {"bias": np.ones(2)}, "a.bias": np.ones(2)})


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_round_trips_are_equal_bit_for_bit(tmp_path, suffix):
    random = np.random.default_rng(0)
    for _ in range(200):
        state = random_state(random)
        write_checkpoint(tmp_path / f"net.{suffix}", state)
        assert_equal(read_checkpoint(tmp_path / f"net.{suffix}"), state)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_views_and_byte_orders_are_written_as_what_they_show(tmp_path, suffix):
    import ml_dtypes

    numbers = np.arange(24, dtype="float32").reshape(4, 6)
    state = {"transposed": numbers.T, "reversed": numbers[::-2], "swapped": numbers.astype(">f4"), "scalar": 3}
    write_checkpoint(tmp_path / f"net.{suffix}", state | {"half": numbers.astype(ml_dtypes.bfloat16)})
    expected = {name: np.array(value, order="C") for name, value in state.items()} | {"half": numbers}
    assert_equal(read_checkpoint(tmp_path / f"net.{suffix}"), expected | {"swapped": numbers})


def test_the_library_of_safetensors_reads_what_is_written_and_writes_what_is_read(tmp_path):
    import ml_dtypes
    from safetensors import safe_open
    from safetensors.numpy import save_file

    half = np.random.default_rng(0).integers(0, 0x7F80, (3, 5), "uint16").view(ml_dtypes.bfloat16)
    state = {"half": half, **WEIGHTS}
    write_checkpoint(tmp_path / "ours.safetensors", state)
    with safe_open(tmp_path / "ours.safetensors", "np") as file:
        assert_equal({name: file.get_tensor(name) for name in file.keys()}, state)
    save_file({name: np.array(value, order="C") for name, value in state.items()}, tmp_path / "theirs.safetensors")
    for name in ("ours", "theirs"):
        expected = state | {"half": half.astype("float32")}
        assert_equal(read_checkpoint(tmp_path / f"{name}.safetensors"), expected)


def test_records_stand_aligned(tmp_path):
    write_checkpoint(tmp_path / "net.pth", KINDS)
    with open(tmp_path / "net.pth", "rb") as file:
        regions = read_regions(file)
    assert {"data.pkl", "byteorder", "version", "data/0"} <= set(regions)
    assert all(region.start % 64 == 0 for region in regions.values())


@pytest.mark.parametrize("name", ["kinds", "weights"])
def test_pytorch_reads_what_is_written(tmp_path, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `parity`)")
    state = part(EXPECTED, f"{name}/") | {"uint16": np.arange(3, dtype="uint16")}
    write_checkpoint(tmp_path / "net.pth", state)
    loaded = torch.load(tmp_path / "net.pth", weights_only=True)
    assert_equal({name: tensor.numpy() for name, tensor in loaded.items()}, state)


def test_golden_files_pass_through(tmp_path):
    if not SHARED.is_dir():
        pytest.skip("the golden files are not beside this checkout")
    for source in sorted(SHARED.glob("*.npz")):
        state = {name: value for name, value in np.load(source).items() if value.dtype.name in DTYPES}
        for suffix in ("pth", "safetensors"):
            write_checkpoint(tmp_path / f"net.{suffix}", state)
            assert_equal(read_checkpoint(tmp_path / f"net.{suffix}"), state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1], "`state` must be a dict of 1 to 5000 names and arrays. Received: list"),
        ({}, "Received: 0 names"),
        ({3: np.ones(2)}, "`state` must have names of at most 512 letters. Received: 3"),
        ({"a" * 513: np.ones(2)}, "`state` must have names of at most 512 letters"),
        ({"a": np.ones(2, "complex64")}, "Received: complex64 at 'a'"),
        ({"a": np.array(["b"])}, "Received: <U1 at 'a'"),
    ],
)
def test_states_that_cannot_be_written(tmp_path, state, message):
    with pytest.raises(ValueError, match=message):
        write_checkpoint(tmp_path / "net.pth", state)
    assert list(tmp_path.iterdir()) == []


def tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("sys_info"))
    return file.getvalue()


def two_records(change):
    """A zip file of two records, whose directory is changed."""
    data = bytearray(archive_of(records={"data.pkl": pickle.dumps({"a": 1}, 2), "data.pkm": b"."}))
    change(data, data.index(b"PK\1\2"), data.rindex(b"PK\1\2"))
    return bytes(data)


def names_twice(data, first, last):
    data[last + 46 : last + 58] = data[first + 46 : first + 58]


def place_twice(data, first, last):
    data[last + 42 : last + 46] = data[first + 42 : first + 46]


def size_into_the_next(data, first, last):
    for place in (20, 24):
        data[first + place : first + place + 4] = struct.pack("<I", 100)


def safetensors(header, numbers=b""):
    return struct.pack("<Q", len(header)) + header + numbers


def entry(dtype="F32", shape="[2]", offsets="[0,8]"):
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'.encode()


REFUSED = {
    "empty": (b"", "Found ''"),
    "tar": (tar(), "the tar format of the first versions of PyTorch"),
    "plain pickle": (pickle.dumps({"a": 1}, 4), "a pickle that `torch.save` did not write"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    "web page": (b"\n<!DOCTYPE html><html>", "This is a web page"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "Expected a zip file"),
    "one name twice": (two_records(names_twice), "every record once. Found one twice"),
    "two in one place": (two_records(place_twice), "Expected the record 'net/data.pk"),
    "one over the next": (two_records(size_into_the_next), "Expected the record 'net/data.pkl' before byte"),
    "bytes before": (b"PK\3\4" + archive_of({"a": 1}), "a record or the directory at byte 0. Found it at 4"),
    "bytes behind": (archive_of({"a": 1}) + b".", "a zip file that ends with its directory"),
    "no directory": (archive_of({"a": 1})[:-30], "the directory at the end of a zip file"),
    "large directory": (
        archive_of(records=dict.fromkeys(map(str, range(20_000)), b"")),
        "a directory of at most 1048576",
    ),
    "other zip": (archive_of(records={"a.txt": b"a"}), "one record FOLDER/data.pkl. Found 0"),
    "compressed": (archive_of({"a": 1}, compression=zipfile.ZIP_DEFLATED), "compressed or encrypted"),
    "no tensor": (archive_of({"epoch": 3}), "Expected a dict of tensors. Found a dict without any"),
    "list": (archive_of([1, 2]), "Expected a dict of tensors. Found one value of type list"),
    "foreign object": (archive_of({"a": Path("b")}), "the Python object 'pathlib."),
    "young protocol": (archive_of(records={"data.pkl": pickle.dumps({}, 4)}), "without `pickle_protocol`"),
    "byte order": (archive_of(records={"data.pkl": b"\x80\x02}.", "byteorder": b"middle"}), "Found 'middle'"),
    "half a header": (safetensors(b"{")[:-1] + b"{", "a header in JSON"),
    "nested header": (safetensors(b'{"a":' + b"[" * 100_000), "a header in JSON"),
    "twice": (safetensors(b'{"a":' + entry() + b',"a":' + entry() + b"}", bytes(8)), "every name once"),
    "unknown dtype": (safetensors(b'{"a":' + entry("F8") + b"}", bytes(8)), "unknown variant `F8`"),
    "other dtype": (safetensors(b'{"a":' + entry("C64", "[1]") + b"}", bytes(8)), "as dtype of 'a'. Found C64"),
    "negative size": (safetensors(b'{"a":' + entry(shape="[-2]") + b"}", bytes(8)), "integer `-2`"),
    "false size": (safetensors(b'{"a":' + entry(shape="[3]") + b"}", bytes(8)), "Found 'invalid shape, data type, or"),
    "overflow": (
        safetensors(b'{"a":' + entry(shape=f"[{2**62},4]") + b"}", bytes(8)),
        "overflow computing buffer size",
    ),
    "dimensions": (safetensors(b'{"a":' + entry(shape=f"{[1] * 40 + [2]}") + b"}", bytes(8)), "at most 32 dimensions"),
    "gap": (safetensors(b'{"a":' + entry(offsets="[8,16]") + b"}", bytes(16)), "invalid offset for tensor `a`"),
    "overlap": (safetensors(b'{"a":' + entry() + b',"b":' + entry() + b"}", bytes(8)), "invalid offset for tensor"),
    "long header": (
        safetensors(b'{"a":' + entry() + b" " * 2**20 + b"}", bytes(8)),
        "a header of at most 1048576 bytes",
    ),
    "too short": (
        safetensors(b'{"a":' + entry() + b"}", bytes(7)),
        "Found 'incomplete metadata, file not fully covered",
    ),
    "too long": (
        safetensors(b'{"a":' + entry() + b"}", bytes(9)),
        "Found 'incomplete metadata, file not fully covered",
    ),
    "metadata only": (safetensors(b'{"__metadata__":{"format":"pt"}}'), "a dict without any"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_checkpoint_is_named_in_one_line(tmp_path, kind):
    data, message = REFUSED[kind]
    path = written(tmp_path, data)
    with pytest.raises(ValueError) as refused:
        read_checkpoint(path)
    text = str(refused.value)
    assert message in text and "\n" not in text and text.startswith("`path` must be a checkpoint of PyTorch")
    assert f"Received: {str(path)!r}. Expected " in text and ". Found " in text


def test_whole_modules_are_refused_by_the_name_of_their_class():
    with pytest.raises(ValueError, match=r"'torch.nn.modules.container.Sequential'\. .*state_dict\(\)"):
        read_checkpoint(FOLDER / "module.pth")


@pytest.mark.parametrize("name", ["zip.pth", "stream.pth", "net.safetensors"])
def test_every_truncation_is_refused(tmp_path, name):
    if name == "net.safetensors":
        write_checkpoint(tmp_path / name, WEIGHTS)
    data = ((FOLDER if name.endswith("pth") else tmp_path) / name).read_bytes()
    for length in range(0, len(data), 37):
        with pytest.raises(ValueError, match="`path` must be"):
            read_checkpoint(written(tmp_path, data[:length]))


def test_one_changed_bit_of_the_numbers_is_noticed(tmp_path):
    records = records_of(FOLDER / "zip.pth")
    data = bytearray((FOLDER / "zip.pth").read_bytes())
    data[data.index(records["data/0"]) + 5] ^= 4
    with pytest.raises(ValueError, match="Expected numbers with the checksum"):
        read_checkpoint(written(tmp_path, data))


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "none.pth")


def nested_files(tmp_path):
    """Writes a flat file and gives back its pickled tensors, to be put into dicts of any shape."""
    write_checkpoint(tmp_path / "flat.pth", {"w": np.ones(2, "float32")})
    records = records_of(tmp_path / "flat.pth")
    pickled = records["data.pkl"]
    tensor = pickled[pickled.index(b"ctorch._utils") : -2]
    return records, tensor


def pickled_dict(value, tensor):
    if value == "T":
        return tensor
    if isinstance(value, dict):
        items = [b"X" + struct.pack("<I", len(k)) + k.encode() + pickled_dict(v, tensor) for k, v in value.items()]
        return b"}(" + b"".join(items) + b"u"
    return b"K" + bytes([value])


OPTIMIZER = {"state": {"w": "T"}, "param_groups": 1}
SHAPES = [
    ({"model": {"w": "T"}, "optimizer": OPTIMIZER, "epoch": 3}, ["w"]),
    ({"state_dict": {"model": {"w": "T"}}}, ["w"]),
    ({"net": {"w": "T"}, "rng_state": "T", "ema": {"w": "T"}}, ["w"]),
    ({"net": {"w": "T"}, "head": {"w": "T"}}, ["net.w", "head.w"]),
    ({"netG": {"w": "T"}, "netD": {"w": "T"}, "optG": OPTIMIZER}, ["netG.w", "netD.w"]),
    ({"a": {"module._orig_mod.module.w": "T"}}, ["a.w"]),
    ({"_orig_mod.w": "T", "module.v": "T"}, ["w", "v"]),
    ({"module": {"w": "T"}}, ["w"]),
]


@pytest.mark.parametrize(("shape", "names"), SHAPES)
def test_names_of_nested_dicts(tmp_path, shape, names):
    records, tensor = nested_files(tmp_path)
    records["data.pkl"] = b"\x80\x02" + pickled_dict(shape, tensor) + b"."
    assert list(read_checkpoint(written(tmp_path, archive_of(records=records)))) == names


def test_two_names_that_differ_by_a_prefix_are_refused(tmp_path):
    records, tensor = nested_files(tmp_path)
    records["data.pkl"] = b"\x80\x02" + pickled_dict({"w": "T", "module.w": "T"}, tensor) + b"."
    with pytest.raises(ValueError, match="'w' twice"):
        read_checkpoint(written(tmp_path, archive_of(records=records)))
