"""The dataclasses of settings, and the flags that are made of them: word for word what they have always been."""

import dataclasses
import inspect
import json
import re
import shlex
import subprocess
import sys
from typing import Literal

import pytest
from conftest import TESTS

from tf_cyclegan import load_dataset
from tf_cyclegan.cli import main
from tf_cyclegan.models import MODELS
from tf_cyclegan.settings import commands
from tf_cyclegan.settings.data import DataSettings, Labels, Situation, View
from tf_cyclegan.settings.fields import derived, documented, facts_of, flat, names_of, replaced, settings
from tf_cyclegan.settings.models import MODEL_SETTINGS
from tf_cyclegan.settings.parsing import parsed, parsed_train
from tf_cyclegan.settings.train import TRAIN_FACTS, TrainSettings, train_settings

DATA = TESTS / "data"
COMMANDS = json.loads((DATA / "settings_of_commands.json").read_text())
KINDS = {
    "translate": commands.TranslateSettings,
    "evaluate": commands.EvaluateSettings,
    "export": commands.ExportSettings,
    "convert": commands.ConvertSettings,
    "serve": commands.ServeSettings,
}
# A flag that each model does not have, and what is then said to be received.
OTHERS = {
    "cyclegan": ("--scales=2", "--scales=2"),
    "pix2pix": ("--lambda-cycle 10 5", "--lambda-cycle 10.0 5.0"),
    "pix2pixhd": ("--dropout 0.5", "--dropout=0.5"),
    "unit": ("--padding=zero", "--padding=zero"),
}


def lines(name):
    return (DATA / name).read_text().splitlines()


def help_of(command, monkeypatch, capsys, *flags):
    monkeypatch.setenv("COLUMNS", "110")  # one column
    with pytest.raises(SystemExit):
        main([command, *flags, "--help"])
    return capsys.readouterr().out


def flags_in(text):
    """The flags that a help lists, with what it calls their values."""
    found = re.findall(r"^[│ ] (--?[a-z]\S*(?: \S+)*?)(?:  .*| *)[│ ]?$", text, re.MULTILINE)
    return sorted(flag for flag in found if not flag.startswith("-h"))


def test_settings_import_no_tensorflow():
    code = (
        "import sys, tf_cyclegan.settings.parsing, tf_cyclegan.settings.commands\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- flags ----


@pytest.mark.parametrize("model", MODEL_SETTINGS)
def test_train_has_the_flags_that_are_of_use_to_a_model(model, monkeypatch, capsys):
    text = help_of("train", monkeypatch, capsys, f"--model={model}")
    flags = (line.partition("  : ") for line in lines("flags_of_train.txt"))
    assert flags_in(text) == sorted(flag for flag, _, models in flags if not models or model in models.split())
    for other in MODEL_SETTINGS.keys() - {model}:
        assert f"--model={other} --help" in " ".join(text.split())


def test_help_without_a_model_is_of_the_default_one(monkeypatch, capsys):
    text = help_of("train", monkeypatch, capsys)
    assert "settings of --model=cyclegan are shown;" in " ".join(text.split())
    assert "--lambda-identity" in text


@pytest.mark.parametrize("command", KINDS)
def test_the_other_commands_have_their_flags(command, monkeypatch, capsys):
    expected = [line.partition(": ")[2] for line in lines("flags_of_commands.txt") if line.startswith(f"{command}: ")]
    assert flags_in(help_of(command, monkeypatch, capsys)) == sorted(expected)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_line_gives_the_settings_that_it_gave(line):
    command, *flags = shlex.split(line)
    if command == "train":
        found = parsed_train(flags).resolved().to_dict()
    else:
        found = json.loads(json.dumps(flat(parsed(KINDS[command], flags, command)), default=str))
    # Settings that came later are not in the file.
    assert {name: found[name] for name in COMMANDS[line]} == COMMANDS[line]


@pytest.mark.parametrize("model", MODEL_SETTINGS)
def test_a_flag_of_another_model_is_refused_before_anything_is_read(model, capsys):
    given, received = OTHERS[model]
    assert main(["train", f"--model={model}", *given.split(), "--dataset=photos"]) == 2
    flag = re.match(r"[\w-]+", given)[0]
    assert capsys.readouterr().err == f"error: {flag} has no use with --model {model}. Received: {received}\n"


def test_the_last_model_counts_wherever_it_stands():
    flags = ["--lambda-l1", "5", "--model", "unit", "--seed=3", "--model=pix2pix", "--no-flip"]
    config = parsed_train(flags)
    assert (config.model, config.of_model.lambda_l1, config.data.seed, config.data.flip) == ("pix2pix", 5, 3, False)


# ---- a setting has one home ----


@pytest.mark.parametrize("name", MODEL_SETTINGS)
def test_defaults_of_a_constructor_are_those_of_the_settings(name):
    settings = MODEL_SETTINGS[name]()
    photos = Situation(emoji=False, small=False, fixed_size=True, channels=(3, 3))
    arguments = replaced(settings, settings.defaults(photos)).arguments()
    parameters = inspect.signature(MODELS[name]).parameters
    assert {name: parameters[name].default or None for name in arguments} == {
        name: value or None for name, value in arguments.items()
    }


@pytest.mark.parametrize("name", MODEL_SETTINGS)
def test_the_docstring_of_a_model_tells_of_each_argument_once(name):
    text = inspect.getdoc(MODELS[name])
    entries = re.findall(
        r"^    ([a-z]\w+(?:, \w+)*): ", text[text.index("Args:") : text.index("Raises:")], re.MULTILINE
    )
    assert sorted(", ".join(entries).split(", ")) == sorted(inspect.signature(MODELS[name]).parameters)
    assert "{settings}" not in text and "--" not in text


@settings
class Paints:
    """Settings of a painter."""

    colors: Literal["warm", "cold"] = derived("warm")
    """What --frame-width and
    --frame show."""
    strokes: int = derived(shown="9; 3 for cold --colors")
    """Strokes of an image."""


def test_the_docstring_of_a_class_has_its_settings_in_the_order_of_its_arguments():
    @documented(Paints)
    class Painter:
        """Paints.

        Args:
            {settings}
            seed: int.
        """

        def __init__(self, strokes=None, seed=0, colors="cold"):
            pass

    assert Painter.__doc__.splitlines()[2:] == [
        "Args:",
        "    strokes: int. Strokes of an image. Defaults to 9; 3 for cold `colors`.",
        '    colors: `"warm"` or `"cold"`. What `frame_width` and `frame` show. Defaults to `"cold"`.',
        "    seed: int.",
    ]


def test_every_setting_has_a_text_which_help_shows_in_one_paragraph():
    assert [name for name, facts in TRAIN_FACTS.items() if not facts.text or "\n" in facts.text] == []


def test_settings_do_without_docstrings():
    code = (
        "from tf_cyclegan.settings import models\nfrom tf_cyclegan.settings.fields import documented\n"
        "@documented(models.UNITSettings)\nclass Model:\n    '{settings}'\n"
        "if Model.__doc__ is not None: raise SystemExit('there are docstrings')"
    )
    subprocess.run([sys.executable, "-OO", "-c", code], check=True)


def test_defaults_of_load_dataset_are_those_of_the_settings():
    given = {name: parameter.default for name, parameter in inspect.signature(load_dataset).parameters.items()}
    assert given.pop("name") == MODEL_SETTINGS["cyclegan"].dataset
    assert given.pop("channels") == 3 == DataSettings().channels_with(Labels())[0]
    assert Labels(*(given.pop(name) for name in ("label_classes", "ignore_label", "instance_maps"))) == Labels()
    of_view = {name: given.pop(name) for name in View._fields if name in given}
    assert View(**of_view) == View()
    # Sizes and batches of drawings are those of the recipe.
    photos = {name: facts.default for name, facts in facts_of(DataSettings).items()} | {"image_size": None}
    assert given == {name: photos[name] for name in given}
    assert given.keys() | {"dataset", "channels", "channels_b"} == set(names_of(DataSettings))


def test_no_setting_stands_in_two_groups_of_a_command():
    for kind in (*KINDS.values(), *(TrainSettings(of_model=model()) for model in MODEL_SETTINGS.values())):
        assert len(set(names_of(kind))) == len(names_of(kind))


def test_python_is_refused_settings_that_there_are_not():
    with pytest.raises(TypeError, match="no settings layers, size"):
        train_settings(size=3, layers=2)
    with pytest.raises(ValueError, match="`scales` has no use with `model` pix2pix. Received: scales=3"):
        train_settings(model="pix2pix", scales=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        train_settings().data.seed = 3
