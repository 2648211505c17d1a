"""Bad input: each file, folder and disk that is not as it should be is named in one line, and nothing is lost."""

import contextlib
import errno
import io
import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import SMALL, open_dataset, random_images
from PIL import Image

from tf_cyclegan import CycleGAN
from tf_cyclegan.cli import main
from tf_cyclegan.data import cache, images, labels
from tf_cyclegan.data.folders import list_images
from tf_cyclegan.data.image_files import unreadable_in
from tf_cyclegan.training import callbacks

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
COLOR = Image.fromarray(PIXELS)
FLAGS = ["--image-size=32", "--filters=4", "--discriminator-filters=4", "--residual-blocks=1", "--pool-size=3"]


def encoded(kind, image=COLOR, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def cut(kind, share=0.7):
    return encoded(kind)[: int(len(encoded(kind)) * share)]


def animated(kind, **options):
    return encoded(kind, save_all=True, append_images=[Image.fromarray(255 - PIXELS)], **options)


def png_of_size(width, height):
    """A whole PNG file, but for the pixels that its header promises."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def npy(shape, kind="|u1", numbers=b""):
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    return npy_of_header(text.encode() + b" " * ((-11 - len(text)) % 64) + b"\n") + numbers


def npy_of_header(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


BAD = {
    "an empty file": (b"", "but an empty file"),
    "text": (b"no picture at all", r"known kind \(PNG, JPEG.*but a file that begins with b'no picture"),
    "a web page": (b"\n <!DOCTYPE html>", "but text, such as HTML"),
    "a GIF": (encoded("GIF"), "but a GIF; save it as PNG"),
    "an animated GIF": (animated("GIF"), "but a GIF; save it as PNG"),
    "a HEIF": (b"\0\0\0\x18ftypheic" + bytes(50), "but a HEIF"),
    "a PDF": (b"%PDF-1.7\n", "but a PDF"),
    "a cut PNG": (cut("PNG"), "damaged or cut short"),
    "a cut JPEG": (cut("JPEG"), "damaged or cut short"),
    "a cut WebP": (cut("WEBP"), "damaged or cut short"),
    "a cut BMP": (cut("BMP"), "damaged or cut short"),
    "a cut TIFF": (cut("TIFF"), "damaged or cut short"),
    "only the beginning of a JPEG": (encoded("JPEG")[:20], "damaged"),
    "only the beginning of a PNG": (encoded("PNG")[:12], "but a damaged PNG"),
    "damaged EXIF data": (encoded("PNG", exif=b"Exif\0\0junkjunkjunk"), "damaged or cut short"),
    "an image without pixels": (png_of_size(0, 0), "but a damaged PNG"),
    "20000 pixels square": (png_of_size(20000, 20000), r"400000000 pixels, more than the \d+ that are safe.*Shrink"),
    "10000 pixels square": (png_of_size(10000, 10000), r"10000x10000 pixels, more than the \d+ that are safe.*Shrink"),
    "4 billion pixels square": (png_of_size(2**31 - 1, 2**31 - 1), "that are safe to decode"),
    "numbers cut short": (npy((40, 48, 3), numbers=bytes(99)), r"cut short.*\(40, 48, 3\).*5,760 bytes.*99 are there"),
    "numbers of 11 terabytes": (npy((10**6, 10**6, 3), "<f4"), "cut short.*12,000,000,000,000 bytes"),
    "numbers beyond any memory": (npy((10**12, 10**12, 3)), "cut short"),
    "a negative side": (npy((-1, 4, 3)), "header is damaged"),
    "a side that is no number": (npy((True, 4, 3), numbers=bytes(12)), "header is damaged"),
    "too many axes": (npy((1,) * 70, numbers=b"x"), "dimension"),
    "Python objects": (npy((2, 2, 3), "|O", pickle.dumps(np.zeros(12, object))), "objects, which is never unpickled"),
    "text for numbers": (npy((2, 2, 3), "<U1", bytes(48)), "<U1, expected numbers"),
    "complex numbers": (npy((2, 2, 3), "<c8", bytes(96)), "complex64, expected numbers"),
    "no channels": (npy((40,), numbers=bytes(40)), r"\(40,\), expected \(height, width, 3\)"),
    "open brackets": (npy_of_header(b"(" * 50 + b"\n"), "header is damaged"),
    "a program": (npy_of_header(b"__import__('os').abort()\n"), "header is damaged"),
    "a header cut short": (npy((40, 48, 3))[:40], "header is damaged"),
    "an unknown version": (b"\x93NUMPY\x09\x00" + bytes(90), "header is damaged|format version"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_no_image_is_named_in_one_line(case, tmp_path):
    content, words = BAD[case]
    path = tmp_path / "x.png"
    path.write_bytes(content)
    for file in (path, content):
        with pytest.raises(ValueError, match=f"(x.png|from the net): .*({words})") as caught:
            images.read_image(file, name=None if file is path else "from the net")
        assert "\n" not in str(caught.value) and str(caught.value).startswith("Cannot read the image")
    with contextlib.suppress(ValueError):  # the header may be whole
        assert images.read_header(path)[:2] == (40, 48)
    for read in (labels.read_ids, labels.read_ids_header):
        with pytest.raises(ValueError, match="Cannot read the label map .*x.png: ") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def rotated(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded("PNG", exif=exif)


def palette():
    """A color is transparent, so white; the others stay."""
    image = COLOR.quantize(16)
    expected = np.array(image.convert("RGB"))
    expected[np.asarray(image) == 0] = 255
    return encoded("PNG", image, transparency=0), expected


GOOD = {
    "an animated WebP": (animated("WEBP", lossless=True), PIXELS),
    "an animated PNG": (animated("PNG"), PIXELS),
    "pages of a TIFF": (animated("TIFF"), PIXELS),
    "CMYK": (encoded("JPEG", COLOR.convert("CMYK"), quality=100, subsampling=0), PIXELS),
    "16 bits": (encoded("PNG", Image.fromarray(np.full((2, 2), 25700, np.uint16))), np.full((2, 2, 3), 100)),
    "1 bit": (encoded("PNG", Image.fromarray(PIXELS[..., 0] > 127)), 255 * (PIXELS[..., :1] > 127).repeat(3, axis=2)),
    "a transparent palette": palette(),
    "1x1": (encoded("PNG", COLOR.crop((0, 0, 1, 1))), PIXELS[:1, :1]),
    "an orientation that is none": (rotated(77), PIXELS),
    "orientation 0": (rotated(0), PIXELS),
    "orientation 8": (rotated(8), np.rot90(PIXELS)),
    "more after the end": (encoded("PNG") + b"junk", PIXELS),
    "numbers": (npy(PIXELS.shape, numbers=PIXELS.tobytes()), PIXELS),
}


@pytest.mark.parametrize("suffix", ["png", "jpg"])  # what a file is called does not matter
@pytest.mark.parametrize("case", GOOD)
def test_unusual_images_are_read(case, suffix, tmp_path):
    content, expected = GOOD[case]
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    image = images.read_image(path)
    np.testing.assert_allclose(image.astype(int), expected, atol=40 if case == "CMYK" else 0)
    assert images.read_header(path) == (*image.shape[:2], image.dtype.name)
    assert not image.flags.readonly if hasattr(image.flags, "readonly") else image.flags.writeable


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="peaks of memory are read from Linux")
def test_a_large_jpeg_is_never_in_memory_twice(tmp_path):
    Image.new("RGB", (20000, 4000), "teal").save(tmp_path / "x.jpg", quality=50)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    image = images.read_image(tmp_path / "x.jpg")
    # 4 bytes a pixel in PIL and 3 in the array; PIL's own way takes 17.
    assert memory("VmHWM") - before < 8 * 80e6
    assert image.shape == (4000, 20000, 3) and (image[::500, ::500] == image[0, 0]).all()


def memory(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("size, mode", [((3, 50), "RGBA"), ((50, 3), "P"), ((7, 9), "L"), ((7, 9), "CMYK")])
def test_strips_make_the_image(size, mode, monkeypatch):
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size, 4), np.uint8), "RGBA")
    image = image if mode == "RGBA" else image.convert("RGB").convert(mode)
    data = encoded("TIFF", image)
    whole = [images.read_image(data, channels) for channels in (1, 3)]
    monkeypatch.setattr(images, "STRIP", 10)
    for pixels, channels in zip(whole, (1, 3), strict=True):
        np.testing.assert_array_equal(images.read_image(data, channels), pixels)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(make, tmp_path):
    make(tmp_path / "x.png")
    for read in (images.read_image, images.read_header, labels.read_ids, labels.read_ids_header):
        with pytest.raises(ValueError, match="x.png: a folder, pipe or device"):
            read(tmp_path / "x.png")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    (tmp_path / "x.png").write_bytes(encoded("PNG"))
    (tmp_path / "x.png").chmod(0)
    with pytest.raises(ValueError, match="x.png: .*denied"):
        images.read_image(tmp_path / "x.png")


# ---- folders ----


def fill(folder, **counts):
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for index, image in enumerate(random_images(count, 36, 40, seed=len(name))):
            images.save_png(folder / name / f"{index}.png", images.to_uint8(image))
    return folder


@pytest.fixture
def photos(tmp_path):
    return fill(tmp_path / "photos", trainA=3, trainB=2, testA=1, testB=1)


def spoil(folder):
    """Puts one of each kind of bad file into a folder, and what is to be passed over.

    Returns:
        Sorted names of those that cannot be read.
    """
    for index, (content, _) in enumerate(BAD.values()):
        (folder / f"bad{index:02d}.png").write_bytes(content)
    (folder / "link.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"")
    return sorted([*(f"bad{index:02d}.png" for index in range(len(BAD))), "link.png", "pipe.png"])


@pytest.mark.parametrize("kept", cache.CACHES)
def test_bad_files_are_left_out_by_name_with_every_cache(kept, photos, tmp_path):
    names = spoil(photos / "trainA")
    options = {"image_size": 32, "cache": kept, "cache_dir": tmp_path / "cache"}
    with pytest.raises(ValueError, match="Cannot read the image trainA/.*`skip_unreadable`") as caught:
        open_dataset(photos, **options).load()
    assert "\n" not in str(caught.value)
    data = open_dataset(photos, skip_unreadable=True, **options).load()
    assert sorted(name.partition("/")[2] for name, _ in data.skipped) == names and data.counts == (3, 2)
    assert not any("\n" in reason for _, reason in data.skipped)


def test_links_and_folders_that_look_like_images(photos):
    fill(photos / "trainA", **{"inner.png": 1})
    names = [path.relative_to(photos).as_posix() for path in list_images(photos / "trainA")]
    assert names == ["trainA/0.png", "trainA/1.png", "trainA/2.png", "trainA/inner.png/0.png"]


@pytest.mark.parametrize("kept", cache.CACHES)
def test_a_folder_that_is_gone_between_opening_and_loading(kept, photos, tmp_path):
    data = open_dataset(photos, image_size=32, cache=kept, cache_dir=tmp_path / "cache")
    shutil.rmtree(photos)
    with pytest.raises(ValueError, match="Cannot read the image trainA/0.png: .*No such file") as caught:
        data.load()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists() or not os.listdir(tmp_path / "cache")


def test_an_image_that_is_gone_later_is_named_by_the_batch(photos):
    data = open_dataset(photos, image_size=32, cache="none").load()
    shutil.rmtree(photos / "trainA")
    with pytest.raises(Exception, match="trainA/") as caught:
        list(data.epoch())
    assert unreadable_in(caught.value).startswith("Cannot read the image trainA/")
    assert unreadable_in(ValueError("another")) is None


def test_a_file_that_changes_its_size_while_training(photos):
    data = open_dataset(photos, image_size=32, resize_mode="crop", cache="none").load()
    images.save_png(photos / "trainA" / "0.png", PIXELS)
    assert next(iter(data.epoch()))[0].shape == (1, 32, 32, 3)


def test_domains_that_are_one_are_refused(photos, tmp_path):
    for folder_b, what in ((photos / "trainA", "the same folder"), (photos, "one inside the other")):
        with pytest.raises(ValueError, match=f"A and B must be apart.*trainA.*{what}"):
            open_dataset(data_a=photos / "trainA", data_b=folder_b)
    (tmp_path / "set").mkdir()
    for name in ("trainA", "trainB"):
        (tmp_path / "set" / name).symlink_to(photos / "trainA")
    with pytest.raises(ValueError, match="A and B must be apart.*the same folder"):
        open_dataset(tmp_path / "set")


def test_a_folder_of_other_files_says_what_they_are(photos, tmp_path):
    for path in (photos / "trainB").iterdir():
        path.rename(path.with_suffix(".gif"))
    with pytest.raises(ValueError, match=r"trainB: no images; left out 2 files that are no PNG, .*: .gif \(2\)"):
        open_dataset(photos)
    with pytest.raises(ValueError, match=r"`data_b` has no images .*left out 2 files .*: .gif \(2\)"):
        open_dataset(data_a=photos / "trainA", data_b=photos / "trainB")


def test_tiny_images_are_told_and_narrow_ones_refused(photos):
    images.save_png(photos / "trainA" / "0.png", PIXELS[:1, :1])
    text = open_dataset(photos, image_size=32).describe()
    assert text.endswith("; 1 image is enlarged more than 4 times, most of all trainA/0.png of 1x1 pixels")
    assert "enlarged" not in open_dataset(photos, "test", image_size=32).describe()
    with pytest.raises(ValueError, match="trainA/0.png of 1x1 .* smaller than the crop of `image_size`"):
        open_dataset(photos, image_size=32, resize_mode="crop")
    Image.new("L", (1, 20000)).save(photos / "trainA" / "0.png")
    with pytest.raises(ValueError, match=r"trainA/0.png of 20000x1 pixels .* become one of \d+x256 .*`resize_mode`"):
        open_dataset(photos, resize_mode="scale_width")


def test_names_that_are_no_text(photos):
    for name in ("trainA", "trainB"):
        os.rename(photos / name / "0.png", os.fsencode(photos / name) + b"/\xff.png")
    data = open_dataset(photos, image_size=32).load()
    assert os.fsdecode(b"trainA/\xff.png") in [data.names(step)[0][0] for step in range(3)]
    halves = {"data_a": photos / "trainA", "data_b": photos / "trainB", "test_share": 0.5, "image_size": 32}
    assert open_dataset(**halves).counts == (1, 1)


# ---- disks ----


@contextlib.contextmanager
def largest_file(size):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of its own, of few bytes, where one may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def check_cache_refused(photos, folder, words):
    with pytest.raises(OSError, match=f"decoded images.*bytes, in the folder .*{words}.*`cache`='memory'") as caught:
        open_dataset(photos, image_size=32, cache="disk", cache_dir=folder).load()
    assert "\n" not in str(caught.value)


def test_a_disk_cache_without_place_is_an_error_not_a_crash(photos, tmp_path):
    with largest_file(4096):
        check_cache_refused(photos, tmp_path / "cache", "large")
    assert os.listdir(tmp_path / "cache") == []
    check_cache_refused(photos, photos / "trainA" / "0.png", "exists")
    check_cache_refused(photos, photos / "trainA" / "0.png" / "cache", "Not a directory")


def test_a_disk_cache_on_a_full_disk(photos, tmp_path):
    with small_disk(tmp_path / "cache", "8k") as folder:
        check_cache_refused(photos, folder, "No space left")
        assert os.listdir(folder) == []


def test_a_cache_is_written_where_nothing_can_be_reserved(photos, tmp_path, monkeypatch):
    expected = open_dataset(photos, image_size=32).load().samples(2)
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    data = open_dataset(photos, image_size=32, cache="disk", cache_dir=tmp_path / "cache").load()
    np.testing.assert_array_equal(data.samples(2), expected)


def test_more_than_the_memory_names_the_other_caches(photos, monkeypatch):
    data = open_dataset(photos, image_size=32)

    monkeypatch.setattr(cache.np, "empty", raising(MemoryError()))
    with pytest.raises(ValueError, match="`cache`='memory' needs 0.0 GB for 3 images.*'disk' or 'none'"):
        data.load()


# ---- the command line ----


def train(folder, output, *flags):
    return main(["train", f"--dataset={folder}", f"--output-dir={output}", *FLAGS, *flags])


def only_line(capfd):
    """What `error:` says, which must be the last line and the only one of its kind."""
    lines = [line for line in capfd.readouterr().err.splitlines() if line.strip()]
    assert not any("Traceback" in line for line in lines), lines
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], lines
    return lines[-1]


def test_training_names_what_it_leaves_out(photos, tmp_path, capfd):
    names = spoil(photos / "trainA")
    os.rename(photos / "trainA" / "0.png", os.fsencode(photos / "trainA") + b"/\xff.png")
    (photos / "trainA" / os.fsdecode(b"\xe9.png")).write_bytes(b"")
    assert train(photos, tmp_path / "run", "--steps=1") == 2
    assert "Cannot read the image trainA/" in only_line(capfd) and not (tmp_path / "run").exists()
    assert train(photos, tmp_path / "run", "--steps=1", "--skip-unreadable") == 0
    output = capfd.readouterr().out
    assert all(f"skipped trainA/{name}: Cannot read the image" in output for name in names)
    assert r"skipped trainA/\udce9.png" in output and callbacks.newest_checkpoint(tmp_path / "run" / "checkpoints")


def test_a_folder_that_is_gone_during_training(photos, tmp_path, capfd, monkeypatch):
    end_step = callbacks.Checkpoints.on_train_batch_end

    def end_step_and_lose(self, batch, logs=None):
        end_step(self, batch, logs)
        if callbacks.newest_checkpoint(self.directory):
            shutil.rmtree(photos, ignore_errors=True)

    monkeypatch.setattr(callbacks.Checkpoints, "on_train_batch_end", end_step_and_lose)
    flags = ["--cache=none", "--epochs=50", "--checkpoint-steps=2"]
    assert train(photos, tmp_path / "run", *flags) == 1
    line = only_line(capfd)
    newest = callbacks.newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert "Cannot read the image train" in line and newest in line and "the same command goes on" in line
    assert callbacks.load_newest(tmp_path / "run" / "checkpoints")[2] == []


def test_a_table_that_cannot_be_written_at_the_end_of_an_epoch(photos, tmp_path, capfd, monkeypatch):
    def fail(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr("tf_cyclegan.training.callbacks.loss_table.write_whole", fail)
    assert train(photos, tmp_path / "run", "--epochs=3") == 2
    line = only_line(capfd)
    assert str(tmp_path / "run") in line and os.strerror(errno.ENOSPC) in line and "the same command goes on" in line
    newest = callbacks.newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert newest in line and newest.endswith("step_00000003.keras")


def test_a_full_disk_that_tensorflow_writes_to(photos, tmp_path, capfd):
    with small_disk(tmp_path / "run" / "logs", "8k") as folder:
        (folder / "fill").write_bytes(bytes(2**13))
        assert train(photos, tmp_path / "run", "--epochs=1", "--decay-epochs=0") == 2
        line = only_line(capfd)
        assert f"Cannot write {folder}" in line and "No space left" in line and "there is no checkpoint yet" in line


def test_an_output_below_a_file(photos, tmp_path, capfd):
    (tmp_path / "file").write_text("")
    assert train(photos, tmp_path / "file", "--steps=1") == 2
    assert str(tmp_path / "file") in only_line(capfd) and (tmp_path / "file").read_text() == ""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    CycleGAN(**SMALL, residual_blocks=0).save(path)
    keras.backend.clear_session()
    return path


def translate(model, source, output):
    return main(["translate", str(model), str(source), f"--output={output}"])


def test_translating_a_folder_of_bad_files(model, photos, tmp_path, capfd):
    names = spoil(photos / "trainA")
    (photos / "trainA" / "bad.npy").write_bytes(npy_of_header(b"(" * 50 + b"\n"))
    (photos / "trainA" / "1x1.png").write_bytes(encoded("PNG", COLOR.crop((0, 0, 1, 1))))
    os.rename(photos / "trainA" / "0.png", os.fsencode(photos / "trainA") + b"/\xff.png")
    assert translate(model, photos / "trainA", tmp_path / "out") == 1
    output = capfd.readouterr().out
    assert "Translated 3 images" in output and "at least 16x16 are needed" in output
    for name in (*names, "bad.npy"):
        assert f"Cannot read the image {photos / 'trainA' / name}: " in output
    assert sorted(os.listdir(tmp_path / "out")) == ["1.png", "2.png", os.fsdecode(b"\xff.png")]


def test_translations_that_cannot_be_written(model, photos, tmp_path, capfd):
    (tmp_path / "file").write_text("")
    assert translate(model, photos / "trainA", tmp_path / "file" / "out") == 2
    assert str(tmp_path / "file") in only_line(capfd)
    with small_disk(tmp_path / "out", "4k") as folder:
        assert translate(model, photos / "trainA", folder) == 2
        line = only_line(capfd)
        assert "No space left" in line and f"{folder}{os.sep}" in line
        assert all(images.read_image(folder / name).shape == (36, 40, 3) for name in os.listdir(folder))


def test_settings_of_a_run_that_are_damaged(model, photos, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    shutil.copy(model, tmp_path / "run" / "checkpoints" / "step_00000001.keras")
    for text in ("[]", "{", json.dumps({"value_range": "x"})):
        (tmp_path / "run" / "config.json").write_text(text)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert translate(tmp_path / "run", photos / "testA", tmp_path / "out") == 0


def test_what_tensorflow_says_of_an_image_is_one_line_in_every_command(monkeypatch, capfd):
    said = "{{function_node x}} ValueError: Cannot read the image a/1.png: it is gone\nTraceback"
    monkeypatch.setattr("tf_cyclegan.inference.run_translate", raising(RuntimeError(said)))
    assert translate("model", "in", "out") == 2
    assert only_line(capfd) == "error: Cannot read the image a/1.png: it is gone"
    monkeypatch.setattr("tf_cyclegan.inference.run_translate", raising(RuntimeError("a mistake of ours")))
    with pytest.raises(RuntimeError, match="ours"):
        translate("model", "in", "out")


def raising(error):
    def function(*_):
        raise error

    return function
