"""Imports point one way, and the command line waits for TensorFlow."""

import ast
import json
import os
import subprocess
import sys

import keras
import pytest
from conftest import ROOT

from tf_cyclegan.networks import resnet_generator

PACKAGE = ROOT / "tf_cyclegan"
# The rooms from top to bottom: a module imports from its own room and from those below.
ROOMS = ["training", "inference", "evaluation", "weights", "data", "models", "networks", "serving", "settings"]
DOOR = {"__main__", "cli"}  # which every room waits for
FACES = {"callbacks", "export", "layers", "metrics", "pytorch"}  # what programs of users import from
GROUND = {"files"}
# What these do not import either.
APART = {"inference": {"evaluation"}, "serving": set(ROOMS) - {"serving", "settings"}}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tf_cyclegan"):
            parts = node.module.split(".")[1:]
            yield from parts[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tf_cyclegan."))


def allowed(room):
    if room in DOOR | {"__init__"}:
        return {*ROOMS, *GROUND, *DOOR, "__version__"}
    if room in FACES:
        return {*ROOMS}
    if room in GROUND:
        return GROUND
    return {*ROOMS[ROOMS.index(room) :], *GROUND, "__version__"} - APART.get(room, set())


def test_rooms_import_only_from_those_below():
    up = {(room_of(path), room) for path in PACKAGE.rglob("*.py") for room in imported_rooms(path)}
    assert sorted(f"{room} -> {target}" for room, target in up if target not in allowed(room)) == []


def test_modules_import_each_other_in_no_circle():
    graph = {name: set(modules_imported(path)) - {name} for name, path in MODULES.items()}
    while leaves := {name for name, targets in graph.items() if not targets & graph.keys()}:
        graph = {name: targets for name, targets in graph.items() if name not in leaves}
    assert graph == {}


def module_name(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def modules_imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_two_files_share_a_name():
    names = [path.name for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    faces = {f"{face}.py" for face in FACES}
    of_models = {path.name for path in (PACKAGE / "settings" / "models").glob("*.py")}
    assert {name for name in names if names.count(name) > 1} - faces - of_models == set()


def test_help_does_not_import_tensorflow():
    code = (
        "import sys; sys.argv = ['tf-cyclegan', 'train', '--help']\n"
        "from tf_cyclegan.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "--dataset" in text and "(default: emoji;" in text


def registered_classes():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            decorators = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", [])]
            if any("register_keras_serializable" in decorator for decorator in decorators):
                yield f"tf_cyclegan>{node.name}"


def test_importing_the_package_registers_every_class_of_a_saved_model():
    names = sorted(registered_classes())
    assert "tf_cyclegan>ConstantThenLinearDecay" in names and "tf_cyclegan>CycleGAN" in names
    code = f"import tf_cyclegan, keras; assert set({names}) <= set(keras.saving.get_custom_objects())"
    subprocess.run([sys.executable, "-c", code], check=True)


def run(code, **environment):
    """What a fresh process says at its end on the error stream."""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


@pytest.mark.parametrize("first", ["import tf_cyclegan", "import tf_cyclegan.layers", "import keras, tf_cyclegan"])
def test_classes_are_there_whatever_the_program_is_called_and_imports_first(first):
    code = (
        f"import sys; sys.argv = ['tf-cyclegan']\n{first}\nimport keras\n"
        "assert keras.saving.get_registered_object('tf_cyclegan>UNIT')"
    )
    assert run(code) is None


def test_a_client_of_the_server_needs_no_keras():
    code = "import sys\nfrom tf_cyclegan.serving import Client\nassert not {'keras', 'tensorflow'} & set(sys.modules)"
    assert run(code) is None


def test_another_backend_is_told_in_a_line():
    line = run("from tf_cyclegan import CycleGAN", KERAS_BACKEND="jax")  # which need not be installed
    assert line.startswith("ImportError: tf_cyclegan needs Keras on TensorFlow: set KERAS_BACKEND=tensorflow")
    assert "jax" in line


def test_commands_run_whatever_keras_is_set_to(tmp_path):
    settings = {"backend": "jax", "image_data_format": "channels_first", "floatx": "float64"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = (
        "from tf_cyclegan.cli import main\nassert not main(['train', '--dry-run', '--image-size=32'])\n"
        "import keras; assert keras.config.floatx() == 'float32'"
    )
    assert run(code, KERAS_HOME=str(tmp_path), KERAS_BACKEND="") is None


def test_channels_first_is_told_in_a_line():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_last"):
            resnet_generator()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_public_names():
    import tf_cyclegan

    for name in tf_cyclegan.__all__:
        assert getattr(tf_cyclegan, name) is not None
    assert "CycleGAN" in dir(tf_cyclegan)
