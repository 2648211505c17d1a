"""Exported models: what they answer, how they are published, and that other programs than this one run them."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, random_images
from reference.c_api import is_available, run_by_c_api
from tensorflow.core.protobuf import saved_model_pb2

from tf_cyclegan import CycleGAN
from tf_cyclegan.data import images
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.inference.export import comparison
from tf_cyclegan.inference.export.publishing import publish_version, versions
from tf_cyclegan.inference.export.signatures import build_signatures, smallest_exported_side, stride_product
from tf_cyclegan.networks import resnet_generator
from tf_cyclegan.serving.engine import Engine
from tf_cyclegan.serving.errors import ServingError


def small_generator(channels=3, output_channels=None, **settings):
    settings = {"filters": 4, "residual_blocks": 1, "initializer": "xavier", **settings}
    generator = resnet_generator((None, None, channels), output_channels or channels, **settings)
    for weight in generator.trainable_variables:  # far from zero, where every picture looks alike
        weight.assign(weight * 20.0)
    return generator


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`(generator, path)` of an exported model with a static signature."""
    keras.utils.set_random_seed(0)
    generator = small_generator()
    return generator, export_saved_model(generator, tmp_path_factory.mktemp("models") / "a_ab", static_sizes=[(32, 48)])


@pytest.fixture(scope="module")
def engine(exported):
    engine = Engine(exported[1])
    yield engine
    engine.close()


def padded(generator, image, multiple=4):
    """A translation in NumPy's words: mirrored to the multiple, cropped back."""
    height, width = image.shape[1:3]
    paddings = [(0, 0), (0, -height % multiple), (0, -width % multiple), (0, 0)]
    output = np.asarray(generator(np.pad(image, paddings, mode="symmetric"), training=False))
    return output[:, :height, :width]


def png(pixels):
    return tf.io.encode_png(pixels).numpy()


def translate_files(engine, *files):
    replies = engine.run("serving_default", {"image_bytes": np.array(files, object)})["translated_bytes"]
    return [images.read_image(reply) for reply in replies]


# ---- the signatures ----


@pytest.mark.parametrize("size", [(32, 32), (33, 50), (16, 17), (61, 19)])
def test_tensors_of_any_size(size, exported, engine):
    image = random_images(2, *size)
    answer = engine.run("tensor", {"image": image})["translated"]
    assert answer.dtype == np.float32 and answer.shape == image.shape
    np.testing.assert_allclose(answer, padded(exported[0], image), atol=1e-4)
    assert np.ptp(answer) > 0.2


def test_bytes_of_several_sizes_in_one_request(exported, engine):
    pixels = [images.to_uint8(random_images(1, *size, seed=size[0])) for size in ((32, 32), (33, 47), (18, 70))]
    answers = translate_files(engine, *(png(image[0]) for image in pixels))
    for image, answer in zip(pixels, answers, strict=True):
        expected = images.to_uint8(padded(exported[0], images.to_float(image)))[0]
        assert answer.shape == expected.shape
        assert np.abs(answer.astype(int) - expected).max() <= 1


def test_uint8_is_the_rounded_tensor(exported, engine):
    image = images.to_uint8(random_images(2, 30, 41))
    answer = engine.run("uint8", {"image": image})["translated"]
    assert answer.dtype == np.uint8
    assert np.abs(answer.astype(int) - images.to_uint8(padded(exported[0], images.to_float(image)))).max() <= 1


def test_static_sizes_have_fixed_shapes(exported, engine):
    assert engine.signatures["static_32x48"].inputs["image"].shape == (1, 32, 48, 3)
    image = random_images(1, 32, 48)
    answer = engine.run("static_32x48", {"image": image})["translated"]
    np.testing.assert_allclose(answer, padded(exported[0], image), atol=1e-4)


def test_a_model_translates_as_its_export(tmp_path):
    model = CycleGAN(**SMALL, residual_blocks=1)
    image = random_images(1, 45, 38)
    for direction in model.directions:
        engine = Engine(export_saved_model(model.generator(direction), tmp_path / f"m_{direction}"))
        answer = engine.run("tensor", {"image": image})["translated"]
        np.testing.assert_allclose(answer, model.translate(image, direction), atol=1e-5)
        engine.close()


@pytest.mark.parametrize("channels, output_channels", [(1, 3), (3, 1), (4, 2)])
def test_other_numbers_of_channels(channels, output_channels, tmp_path):
    engine = Engine(export_saved_model(small_generator(channels, output_channels), tmp_path / "m"))
    default = engine.signatures["serving_default"]
    assert list(default.inputs) == (["image"] if channels == 4 else ["image_bytes"])
    answer = engine.run("tensor", {"image": random_images(1, 32, channels=channels)})["translated"]
    assert answer.shape == (1, 32, 32, output_channels)
    if channels < 4:
        (reply,) = translate_files(engine, png(np.zeros((20, 31, 3), np.uint8)))
        assert reply.shape[:2] == (20, 31)
    engine.close()


@pytest.mark.parametrize("name", ["tensor", "uint8"])
def test_too_small_an_image_is_the_senders_error(name, engine):
    image = np.zeros((1, 40, 15, 3), np.float32 if name == "tensor" else np.uint8)
    with pytest.raises(ServingError, match="at least 16 pixels. Found: 40x15") as error:
        engine.run(name, {"image": image})
    assert error.value.code == "INVALID_ARGUMENT"


def test_a_file_that_is_refused_is_the_senders_error(engine):
    good, bomb = png(np.zeros((20, 20, 3), np.uint8)), png(np.zeros((16, 8200, 1), np.uint8))
    for files, words in (([good, b"junk"], "Expected a PNG or JPEG"), ([bomb, good], "Found: 16x8200")):
        with pytest.raises(ServingError, match=words) as error:
            translate_files(engine, *files)
        assert error.value.code == "INVALID_ARGUMENT"
    assert len(translate_files(engine, good, good)) == 2


def test_the_smallest_side_grows_with_the_multiple(tmp_path):
    assert [smallest_exported_side(multiple) for multiple in (1, 4, 32, 64, 256)] == [16, 16, 16, 32, 128]
    path = export_saved_model(small_generator(), tmp_path / "m", size_multiple=64)
    answer = run_by_c_api(path, "tensor", {"image": random_images(1, 32, 33)})["translated"]
    assert answer.shape == (1, 32, 33, 3)
    with pytest.raises(RuntimeError, match="at least 32 pixels. Found: 31x40"):
        run_by_c_api(path, "tensor", {"image": random_images(1, 31, 40)})


def test_strides_of_convolutions_make_the_multiple():
    assert stride_product(small_generator()) == 4
    image = keras.Input((None, None, 3))
    assert stride_product(keras.Model(image, keras.layers.Conv2D(3, 3, 2)(keras.layers.Conv2D(2, 3)(image)))) == 2


# ---- precision ----


def test_bfloat16_has_float32_ends(tmp_path):
    generator = small_generator(residual_blocks=2)
    engine = Engine(export_saved_model(generator, tmp_path / "m", precision="bfloat16"))
    answer = engine.run("tensor", {"image": random_images(1, 34)})["translated"]
    difference = np.abs(answer - padded(generator, random_images(1, 34))).max()
    assert answer.dtype == np.float32
    assert 1e-4 < difference < 0.25
    engine.close()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_network_trained_in_half_precision_is_exported_in_full(policy, tmp_path):
    generator = small_generator(dtype=policy)
    exact = small_generator()
    exact.set_weights(generator.get_weights())
    engine = Engine(export_saved_model(generator, tmp_path / "m"))
    answer = engine.run("tensor", {"image": random_images(1, 34)})["translated"]
    np.testing.assert_allclose(answer, padded(exact, random_images(1, 34)), atol=1e-4)
    engine.close()


# ---- other programs ----


@pytest.mark.skipif(not is_available(), reason="this TensorFlow has no library with the C API")
def test_the_c_api_runs_it(exported):
    generator, path = exported
    image = random_images(1, 50, 38)
    np.testing.assert_allclose(
        run_by_c_api(path, "tensor", {"image": image})["translated"], padded(generator, image), atol=1e-4
    )


@pytest.mark.skipif(not is_available(), reason="this TensorFlow has no library with the C API")
def test_the_c_api_refuses_what_keras_models_are_saved_as_by_tensorflow(tmp_path):
    """Why `tf.saved_model.save` is not the way to export, and `tf.saved_model.load` not the way to check."""
    generator = small_generator()
    call = tf.function(generator, input_signature=[tf.TensorSpec([None, None, None, 3], name="image")])
    tf.saved_model.save(generator, str(tmp_path / "plain"), signatures={"tensor": call})
    image = random_images(1, 32)
    assert tf.saved_model.load(str(tmp_path / "plain")).signatures["tensor"](image=image)
    with pytest.raises(RuntimeError, match="Could not find variable"):
        run_by_c_api(tmp_path / "plain", "tensor", {"image": image})


def test_saved_model_cli_runs_it(exported, tmp_path):
    generator, path = exported
    np.save(tmp_path / "in.npy", image := random_images(1, 35, 40))
    program = "import sys; from tensorflow.python.tools.saved_model_cli import main; sys.exit(main())"
    flags = ["--tag_set=serve", "--signature_def=tensor", f"--inputs=image={tmp_path / 'in.npy'}"]
    command = [sys.executable, "-c", program, "run", f"--dir={path}", *flags, f"--outdir={tmp_path}"]
    subprocess.run(command, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "translated.npy"), padded(generator, image), atol=1e-4)


_WITHOUT_XLA = """
import ctypes, sys
import numpy as np
import tensorflow as tf
from reference.c_api import _library_path
from tf_cyclegan.serving.engine import Engine
ctypes.CDLL(_library_path())._ZN10tensorflow21DisableXlaCompilationEv()
engine = Engine(sys.argv[1])
for name in ("tensor", "static_32x48"):
    assert engine.run(name, {"image": np.zeros((1, 32, 48, 3), np.float32)})["translated"].shape == (1, 32, 48, 3)
try:
    tf.function(lambda x: x + 1, jit_compile=True)(1.0)
except tf.errors.OpError as error:
    print(error.message)
"""


@pytest.mark.skipif(not is_available(), reason="this TensorFlow has no library with the C API")
def test_it_runs_where_xla_is_disabled(exported):
    """As TensorFlow Serving disables it, unless told otherwise."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _WITHOUT_XLA, exported[1]]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    assert "XLA compilation disabled" in output  # it was in force


def test_static_signatures_compile_with_xla(exported):
    loaded = tf.saved_model.load(exported[1])

    @tf.function(jit_compile=True)
    def compiled(image):
        return loaded.signatures["static_32x48"](image=image)["translated"]

    image = random_images(1, 32, 48)
    np.testing.assert_allclose(compiled(image), padded(exported[0], image), atol=1e-3)


@pytest.mark.parametrize("has_static_sizes", [False, True])
def test_what_a_tpu_takes_over_knows_no_strings(has_static_sizes, exported, tmp_path):
    path = exported[1] if has_static_sizes else export_saved_model(small_generator(), tmp_path / "m")
    proto = saved_model_pb2.SavedModel.FromString(Path(path, "saved_model.pb").read_bytes()).meta_graphs[0]
    library = {function.signature.name: function for function in proto.graph_def.library.function}
    aliased = [name for name, alias in proto.meta_info_def.function_aliases.items() if alias == "tpu_func"]
    assert aliased
    operations = {node.op for name in reachable(library, aliased) for node in library[name].node_def}
    assert "Conv2D" in operations
    assert not [name for name in operations if any(word in name for word in ("String", "Decode", "Encode", "Png"))]
    everything = {node.op for function in library.values() for node in function.node_def}
    assert {"DecodePng", "EncodePng", "DecodeJpeg"} <= everything  # the search would have found them


def reachable(library, names):
    found, left = set(), list(names)
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            for node in library[name].node_def:
                for value in node.attr.values():
                    left += [function.name for function in (value.func, *value.list.func) if function.name in library]
    return found


def test_nothing_in_it_is_compiled_by_xla(exported):
    """It would fail in TensorFlow Serving, which disables XLA."""
    assert b"_XlaMustCompile" not in Path(exported[1], "saved_model.pb").read_bytes()


# ---- warmup ----


def test_a_warmup_request_for_every_signature(exported, engine):
    prediction_log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    file = Path(exported[1], "assets.extra", "tf_serving_warmup_requests")
    requests = [
        prediction_log.PredictionLog.FromString(record.numpy()).predict_log.request
        for record in tf.data.TFRecordDataset(str(file))
    ]
    names = {request.model_spec.signature_name for request in requests}
    assert names == {"serving_default", "tensor", "uint8", "static_32x48"}
    assert {request.model_spec.name for request in requests} == {"a_ab"}
    for request in requests:
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        assert engine.run(request.model_spec.signature_name, inputs)


def test_without_the_extra_there_is_no_warmup_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    lines = []
    path = export_saved_model(small_generator(), tmp_path / "m", report=lines.append)
    assert not Path(path, "assets.extra").exists()
    assert "tf_cyclegan[export]" in lines[0] and "at most" in lines[1]


# ---- publishing ----


def write_something(path):
    os.makedirs(os.path.join(path, "variables"))
    Path(path, "saved_model.pb").write_bytes(b"graph")


def test_versions_follow_each_other_and_are_never_touched(tmp_path):
    model = tmp_path / "models" / "m"
    assert publish_version(model, write_something) == str(model / "1")
    before = {path: path.stat().st_mtime_ns for path in (model / "1").rglob("*")}
    (model / "7").mkdir()
    assert publish_version(model, write_something) == str(model / "8")
    assert {path: path.stat().st_mtime_ns for path in (model / "1").rglob("*")} == before
    assert sorted(os.listdir(model)) == ["1", "7", "8"]


def test_a_version_is_not_seen_before_it_is_whole(tmp_path):
    seen = []

    def write(path):
        write_something(path)
        seen.extend(versions(tmp_path))

    publish_version(tmp_path, write)
    assert (seen, versions(tmp_path)) == ([], ["1"])


def test_keep_removes_the_oldest(tmp_path):
    for version in ("1", "2", "9", "10", "notes"):
        (tmp_path / version).mkdir()
    publish_version(tmp_path, write_something, keep=3)
    assert sorted(os.listdir(tmp_path)) == ["10", "11", "9", "notes"]


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_failure_leaves_nothing(existing, error, tmp_path):
    if existing:
        (tmp_path / "m" / "1").mkdir(parents=True)

    def fail(path):
        write_something(path)
        raise error

    with pytest.raises(error):
        publish_version(tmp_path / "m", fail, keep=1)
    assert [path.name for path in tmp_path.rglob("*")] == (["m", "1"] if existing else [])


def test_a_number_taken_by_another_export_is_passed_over(tmp_path, monkeypatch):
    rename = os.rename

    def late(source, target):
        if target.endswith("1"):
            os.makedirs(os.path.join(target, "variables"), exist_ok=True)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    assert publish_version(tmp_path, write_something) == str(tmp_path / "2")
    assert os.listdir(tmp_path / "1") == ["variables"]


# ---- the check ----


def test_a_model_that_answers_otherwise_is_not_published(tmp_path, monkeypatch):
    exported, expected = small_generator(), small_generator(residual_blocks=2)
    clones = iter([expected])
    monkeypatch.setattr(
        "tf_cyclegan.inference.export.saved_model.with_precision", lambda network, _: next(clones, exported)
    )
    with pytest.raises(ValueError, match="differs by .*, expected at most 0.25"):
        export_saved_model(exported, tmp_path / "m", precision="bfloat16")
    assert not (tmp_path / "m").exists()


def test_a_network_that_is_no_longer_a_number_is_not_published(tmp_path):
    generator = small_generator()
    generator.trainable_variables[0].assign(generator.trainable_variables[0] * np.nan)
    with pytest.raises(ValueError, match="differs by nan"):
        export_saved_model(generator, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_the_largest_difference_is_stated(exported):
    generator, path = exported
    signatures = build_signatures(generator, 4)
    difference = comparison.check_saved_model(path, generator, signatures.functions, 4, tolerance=1e-3)
    assert 0 <= difference < 1e-4


# ---- arguments ----


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"precision": "float16"}, ["`precision`", "bfloat16", "float16"]),
        ({"keep": 0}, ["`keep`", "0"]),
        ({"size_multiple": 0}, ["`size_multiple`", "0"]),
        ({"static_sizes": [(8, 32)]}, ["`static_sizes`", "16 pixels", "8"]),
        ({"static_sizes": [(32,)]}, ["`static_sizes`", "pairs"]),
    ],
)
def test_wrong_arguments(arguments, words, tmp_path):
    with pytest.raises(ValueError) as error:
        export_saved_model(small_generator(), tmp_path / "m", **arguments)
    assert all(word in str(error.value) for word in words)
    assert not (tmp_path / "m").exists()


def test_networks_of_another_kind(tmp_path):
    with pytest.raises(ValueError, match="any size.*32, 32"):
        export_saved_model(resnet_generator((32, 32, 3), filters=4, residual_blocks=1), tmp_path / "m")
    flat = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(ValueError, match="one image to one image"):
        export_saved_model(flat, tmp_path / "m")
