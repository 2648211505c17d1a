"""Label maps translated: paired with their instance maps, and as strict as training, from files and in the graph."""

import io
import json
import re
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from conftest import gray_png
from PIL import Image

from tf_cyclegan import Pix2PixHD
from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.inference.export.publishing import write_deployment
from tf_cyclegan.inference.export.saved_model import write_saved_model
from tf_cyclegan.inference.export.signatures import build_signatures
from tf_cyclegan.inference.label_inputs import MapReader
from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.serving.errors import ServingError
from tf_cyclegan.serving.rest.json_inputs import read_inputs, signature_name

SMALL = {
    "filters": 2,
    "downsamplings": 1,
    "residual_blocks": 1,
    "discriminator_filters": 2,
    "discriminator_layers": 1,
    "scales": 1,
    "lambda_perceptual": 0.0,
    "label_classes": 4,
    "ignore_label": 255,
}
LABELS = np.random.RandomState(0).randint(0, 4, (20, 18)).astype(np.uint8)
INSTANCES = LABELS.astype(np.uint16) * 1000 + 7


def new_model(**settings):
    return Pix2PixHD(**{"image_shape": (16, 16, 1), **SMALL, **settings})


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A model of label maps alone, as a file, and exported."""
    folder = tmp_path_factory.mktemp("plain")
    model = new_model()
    model.save(folder / "plain.keras")
    return model, folder / "plain.keras", export_saved_model(model.generator("ab"), folder / "plain_ab", takes_ids=True)


@pytest.fixture(scope="module")
def of_instances(tmp_path_factory):
    """A model of label maps and instance maps, as a file, and exported."""
    folder = tmp_path_factory.mktemp("of_instances")
    model = new_model(image_shape=(16, 16, 2), instance_edges=True)
    model.save(folder / "inst.keras")
    return model, folder / "inst.keras", export_saved_model(model.generator("ab"), folder / "inst_ab", takes_ids=True)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def as_batch(*maps):
    return (np.stack(maps, -1)[None] / 127.5 - 1).astype("float32")


def translate(capsys, *flags):
    code = main(["translate", *map(str, flags)])
    streams = capsys.readouterr()
    return code, streams.out + streams.err


@pytest.fixture
def scenes(tmp_path):
    """A data set's folders, in which a photograph's name ends otherwise, as in Cityscapes."""
    root = tmp_path / "set"
    for name in ("ulm/1", "ulm/2"):
        save(root / "test_label" / f"{name}_gtFine_labelIds.png", LABELS)
        save(root / "test_inst" / f"{name}_gtFine_instanceIds.png", INSTANCES)
    return root


# ---- instance maps ----


@pytest.mark.parametrize("kind", ["file", "exported"])
def test_label_maps_find_the_instance_maps_of_their_data_set(kind, of_instances, scenes, tmp_path, capsys):
    model, file, exported = of_instances
    source = file if kind == "file" else exported
    assert translate(capsys, source, scenes / "test_label", "-o", tmp_path / "out")[0] == 0
    translated = images.read_image(tmp_path / "out" / "ulm" / "2_gtFine_labelIds.png")
    expected = images.to_uint8(model.translate(as_batch(LABELS, INSTANCES))[0])
    assert np.abs(translated.astype(int) - expected).max() <= 1
    other = images.to_uint8(model.translate(as_batch(LABELS, 0 * LABELS))[0])
    assert np.abs(translated.astype(int) - other).max() > 1


def test_one_label_map_and_a_folder_of_instances(of_instances, scenes, tmp_path, capsys):
    one = save(tmp_path / "scene.png", LABELS)
    code, text = translate(capsys, of_instances[1], one, "-o", tmp_path / "out.png")
    assert code == 2 and "--instances" in text and "scene.png" in text
    save(tmp_path / "maps" / "scene.png", INSTANCES)
    flags = ("-o", tmp_path / "out.png", f"--instances={tmp_path / 'maps'}")
    assert translate(capsys, of_instances[1], one, *flags)[0] == 0


def test_instance_maps_lie_as_their_label_maps_do(of_instances, tmp_path, capsys):
    own = {"x/a": INSTANCES, "y/a": INSTANCES[::-1].copy()}
    for name, instances in own.items():
        save(tmp_path / "maps" / f"{name}.png", LABELS)
        save(tmp_path / "inst" / f"{name}.png", instances)
    flags = (of_instances[1], tmp_path / "maps", "-o", tmp_path / "out")
    code, text = translate(capsys, *flags, f"--instances={tmp_path / 'inst' / 'x'}")
    assert code == 2 and "--instances must have" in text and "Found none" in text and "x/a.png" in text
    assert translate(capsys, *flags, f"--instances={tmp_path / 'inst'}")[0] == 0
    for name, instances in own.items():
        expected = images.to_uint8(of_instances[0].translate(as_batch(LABELS, instances))[0])
        assert np.abs(images.read_image(tmp_path / "out" / f"{name}.png").astype(int) - expected).max() <= 1


@pytest.mark.parametrize("part", ["", "ulm"])
def test_a_part_of_a_data_set_finds_its_instance_maps(part, scenes):
    root = scenes / "test_label" / "ulm"
    paths = [root / "1_gtFine_labelIds.png"]
    assert MapReader(paths, root, 2, None, scenes / "test_inst" / part)(paths[0]).shape == (20, 18, 2)


@pytest.mark.parametrize(
    "labels, instances, words",
    [
        (["a.png", "a.bmp"], ["a.png"], "inst/a.png for .*maps/a.png and .*maps/a.bmp"),
        (["a.png"], ["a_gtFine_instanceIds.png", "a_gtFine_labelIds.png"], "inst/a_gtFine.* and .* for"),
    ],
)
def test_an_instance_map_is_of_one_label_map(labels, instances, words, tmp_path):
    paths = [save(tmp_path / "maps" / name, LABELS) for name in labels]
    for name in instances:
        save(tmp_path / "inst" / name, LABELS)
    with pytest.raises(ValueError, match=f"`instances` must have one .*{words}"):
        MapReader(paths, tmp_path / "maps", 2, None, tmp_path / "inst")


def test_arrays_hold_both_maps(of_instances, tmp_path, capsys):
    np.save(tmp_path / "both.npy", np.stack([LABELS, INSTANCES], -1))
    assert translate(capsys, of_instances[1], tmp_path / "both.npy", "-o", tmp_path / "out.png")[0] == 0


def test_instance_maps_that_are_missing_or_do_not_fit(of_instances, scenes, tmp_path, capsys):
    save(scenes / "test_inst" / "ulm" / "1_gtFine_instanceIds.png", INSTANCES[:10])
    code, text = translate(capsys, of_instances[1], scenes / "test_label", "-o", tmp_path / "out")
    assert code == 1 and "must be as large as" in text and "1 of 2 images could not" in text
    (scenes / "test_inst" / "ulm" / "1_gtFine_instanceIds.png").unlink()
    code, text = translate(capsys, of_instances[1], scenes / "test_label", "-o", tmp_path / "new")
    assert code == 2 and "ulm/1_gtFine_labelIds.png" in text and "test_inst" in text
    assert not (tmp_path / "new").exists()


def test_instances_have_no_use_for_other_models(plain, tmp_path, capsys):
    one = save(tmp_path / "scene.png", LABELS)
    code, text = translate(capsys, plain[1], one, "-o", tmp_path / "out.png", f"--instances={tmp_path}")
    assert code == 2 and "--instances has no use" in text


# ---- as strict as training ----


def png(array, mode=None, kind="PNG", **options):
    stream = io.BytesIO()
    picture = Image.fromarray(array)
    if mode == "P":
        picture.putpalette([(7 * i) % 256 for i in range(768)])
    picture.save(stream, kind, **options)
    return stream.getvalue()


def with_id(label):
    array = LABELS.copy()
    array[3, :9] = label
    return array


def test_files_are_refused_by_translate_and_those_of_the_classes_are_not(plain, tmp_path, capsys):
    folder = tmp_path / "maps"
    save(folder / "beyond.png", with_id(4))
    save(folder / "color.png", np.zeros((20, 18, 3), np.uint8))
    save(folder / "lossy.jpg", LABELS)
    save(folder / "ignored.png", with_id(255))
    (folder / "palette.png").write_bytes(png(LABELS, "P"))
    code, text = translate(capsys, plain[1], folder, "-o", tmp_path / "out")
    assert code == 1 and "3 of 5" in text
    assert "beyond.png: id 4 in 2.5 % of the pixels, expected ids from 0 to 3 or 255, which is ignored" in text
    assert "color.png: colors (mode RGB)" in text and "lossy.jpg: JPEG changes values" in text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ignored.png", "palette.png"]


@pytest.fixture(scope="module")
def engine(plain):
    engine = Engine(plain[2])
    yield engine
    engine.close()


@pytest.mark.parametrize(
    "data, words",
    [
        (png(with_id(4)), "Expected ids from 0 to 3 or 255, which is ignored. Found: 4"),
        (png(with_id(9).astype(np.uint16) * 100), "Found: [1-9]00"),
        (png(LABELS, "P"), "Expected a gray PNG.*Found: a PNG with a palette"),
        (png(np.zeros((20, 18, 3), np.uint8)), "Found: a PNG of colors"),
        (png(np.zeros((20, 18, 4), np.uint8)), "Found: a PNG of colors"),
        (png(np.zeros((20, 18, 2), np.uint8)), "Found: a PNG with transparency"),
        (png(LABELS, kind="JPEG"), "Found: a JPEG"),
        (b"junk", "Found: neither, in 4 bytes"),
        (png(LABELS[:9]), "Found: 9x18"),
    ],
    ids=["beyond", "deep", "palette", "color", "alpha", "gray alpha", "jpeg", "junk", "small"],
)
def test_files_are_refused_by_the_graph(data, words, engine):
    with pytest.raises(ServingError) as error:
        engine.run("serving_default", {"image_bytes": np.array([data], object)})
    assert error.value.code == "INVALID_ARGUMENT" and re.search(words, error.value.message), error.value.message


@pytest.mark.parametrize("data", [png(LABELS), png(LABELS.astype(np.uint16)), gray_png(LABELS, 2), gray_png(LABELS, 4)])
def test_gray_of_every_depth_is_read_by_the_graph(data, plain, engine):
    (answer,) = engine.run("serving_default", {"image_bytes": np.array([data], object)})["translated_bytes"]
    expected = images.to_uint8(plain[0].translate(as_batch(LABELS))[0])
    assert np.abs(images.read_image(answer).astype(int) - expected).max() <= 1


def test_every_signature_is_as_strict(engine):
    for name, info in engine.signatures.items():
        (taken,) = info.inputs.values()
        if taken.dtype != "string":
            for label in (2, 255):
                engine.run(name, {"image": as_input(with_id(label), taken.dtype)})
            with pytest.raises(ServingError, match="Found: 4"):
                engine.run(name, {"image": as_input(with_id(4), taken.dtype)})
    with pytest.raises(ServingError, match="id / 127.5 - 1"):
        engine.run("tensor", {"image": as_batch(LABELS) + np.float32(0.003)})


def test_a_static_signature_is_as_strict_and_a_tpu_takes_over_no_strings(plain):
    signatures = build_signatures(plain[0].generator("ab"), 2, [(20, 18)])
    static = signatures.functions["static_20x18"]
    assert static(as_batch(with_id(255)))["translated"].shape == (1, 20, 18, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Found: 4"):
        static(as_batch(with_id(4)))
    graph = signatures.accelerated.get_concrete_function().graph
    assert all(output.dtype != tf.string for operation in graph.get_operations() for output in operation.outputs)


def as_input(labels, dtype):
    return as_batch(labels) if dtype == "float32" else labels[None, ..., None].astype(dtype)


def test_ids_come_as_integers(of_instances):
    model, _, path = of_instances
    engine = Engine(path)
    maps = np.stack([LABELS, INSTANCES], -1)[None]
    answer = engine.run("ids", {"image": maps.astype(np.int32)})["translated"]
    np.testing.assert_allclose(answer, model.translate(as_batch(LABELS, INSTANCES)), atol=1e-5)
    engine.close()


@pytest.mark.parametrize("classes", [35, 300])  # Cityscapes', and more than a byte holds
def test_models_of_many_classes_are_exported(classes, tmp_path):
    network, lines = new_model(label_classes=classes, ignore_label=None).generator("ab"), []
    export_saved_model(network, tmp_path / "many_ab", takes_ids=True, report=lines.append)
    assert "differs from the Keras model by at most" in lines[0]
    assert not [line for line in lines if "16 bits" in line]  # ids have no range


# ---- the README of what was exported ----


def requests_in(text):
    """The commands that print a request, by the model that they ask."""
    found = re.findall(r"    (python3 -c .*) \|\n.*v1/models/(\w+):predict", text)
    return {name: command for command, name in found}


@pytest.mark.parametrize("channels", [2, 12])
def test_the_request_in_the_readme_works(channels, of_instances, tmp_path):
    if channels == 2:
        folder, array = of_instances[2].rpartition("/")[0].rpartition("/")[0], np.stack([LABELS, INSTANCES], -1)
    else:
        folder, array = tmp_path / "exported", np.zeros((20, 18, 12), np.float32)
        network = new_model(image_shape=(16, 16, 12), label_classes=0, ignore_label=None).generator("ab")
        write_saved_model(network, folder / "many_ab" / "1", 2)
    write_deployment(folder)
    (name, command) = next(iter(requests_in(open(f"{folder}/README.md").read()).items()))
    np.save(tmp_path / "in.npy", array)
    printed = subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    document = json.loads(printed)
    engine = Engine(f"{folder}/{name}/1")
    signature = engine.signatures[signature_name(document)]
    inputs, _ = read_inputs(document, signature.inputs)
    (answer,) = engine.run(signature_name(document), inputs).values()
    assert answer.shape[:3] == (1, 20, 18) and tf.reduce_all(tf.math.is_finite(answer))
    engine.close()
