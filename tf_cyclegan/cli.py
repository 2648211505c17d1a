"""The command line: flags to settings, commands, errors as short texts. Only a command that runs imports TensorFlow."""

import contextlib
import dataclasses
import importlib
import os
import re
import sys
import traceback
import warnings

import tyro

from tf_cyclegan.settings.commands import (
    ConvertSettings,
    EvaluateSettings,
    ExportSettings,
    ServeSettings,
    TranslateSettings,
)
from tf_cyclegan.settings.fields import names_of
from tf_cyclegan.settings.foreign_flags import PYTORCH_DIRECTIONS, PYTORCH_FLAGS, PYTORCH_MODELS
from tf_cyclegan.settings.imports import claim_keras
from tf_cyclegan.settings.parsing import parsed, parsed_train
from tf_cyclegan.settings.train import TRAIN_NAMES
from tf_cyclegan.settings.user_errors import UserError, speaking_of_flags, with_flags

_USAGE = """usage: tf-cyclegan COMMAND [OPTIONS]

Image-to-image translation in TensorFlow: CycleGAN, pix2pix, pix2pixHD and UNIT.

commands:
  train       train a model on a data set, a folder or the bundled emoji
  translate   translate an image or a folder of images
  evaluate    score a model, say how healthy it is, and write a report
  export      write models for TensorFlow Serving, TFLite or ONNX
  convert     convert weights of PyTorch's implementations to a model, and back
  serve       answer TensorFlow Serving's REST requests, with a page to try them

tf-cyclegan COMMAND --help lists the options of a command; with --debug an error shows its whole traceback."""

_DEBUG = "--debug"
# EX_TEMPFAIL of sysexits.h: a supervisor of workers starts them again.
_TRY_AGAIN = 75


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: list of str. Defaults to the arguments of the process.

    Returns:
        Exit code: 0, 2 for wrong settings, data or folders, 1 for a failed training or an incomplete result, 75 if
        another worker is lost and all must be started again, 130 after an interruption.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_streams()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return 0 if arguments else 2
    command, *flags = arguments
    if command == "--version":
        return _print_version()
    if command not in _COMMANDS:
        return _fail(f"there is no command {command!r}. Commands: {', '.join(_COMMANDS)}")
    claim_keras()
    native = [_native(*pair) for pair in zip(["", *flags], flags, strict=False)]
    return _COMMANDS[command]([flag for flag in native if flag != _DEBUG], _DEBUG in flags)


def _prepare_streams():
    """Makes output safe: a terminal may not show every file name, and warnings of PIL name no file."""
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _train(flags, debug):
    foreign = [flag.split("=")[0] for flag in flags if flag.split("=")[0] in PYTORCH_FLAGS]
    if foreign:
        answers = [f"{flag} is {PYTORCH_FLAGS[flag]} here" for flag in dict.fromkeys(foreign)]
        return _fail(
            "\n".join(["flags of the PyTorch implementation:", *answers, "tf-cyclegan train --help lists all"])
        )
    try:
        config = parsed_train(flags)
    except ValueError as error:
        return _fail(with_flags(str(error), TRAIN_NAMES), debug=debug)
    with _quiet_import():
        from tf_cyclegan.training import training
        from tf_cyclegan.training.callbacks import TrainingDiverged
        from tf_cyclegan.training.workers import WorkerLost

        _look_at_devices(debug)
    try:
        return training.dry_run(config, print) if config.start.dry_run else training.train(config, print)
    except (TrainingDiverged, training.InputLost) as error:
        return _fail(str(error), 1, debug)
    except WorkerLost as error:
        return _fail(str(error), _TRY_AGAIN, debug)
    except (UserError, OSError) as error:
        return _fail(with_flags(_message(error), TRAIN_NAMES), debug=debug)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from the newest checkpoint", 130)


def _runner(command, settings, module, function):
    """A command whose settings are a dataclass and whose work is `function(settings, report)` of a module."""
    names, words = names_of(settings), _words(settings)

    def run(flags, debug):
        config = parsed(settings, flags, command)
        with _quiet_import():
            work = getattr(importlib.import_module(module), function)
            _look_at_devices(debug)
        try:
            with speaking_of_flags(names, **words):
                return work(config, print)
        except (UserError, OSError) as error:
            return _fail(with_flags(_message(error), names, **words), debug=debug)
        except KeyboardInterrupt:
            return _fail("interrupted", 130)
        except Exception as error:
            from tf_cyclegan.data.image_files import unreadable_in

            if (said := unreadable_in(error)) is None:
                raise
            return _fail(said, debug=debug)

    return run


# Names in errors that are no settings of a command.
_WORDS = {
    "path": "the file",
    "files": "the file",
    "state": "the weights",
    "network": "the network",
    "image_shape": "--image-size",
    "skip_unreadable": "train --skip-unreadable",
}


def _words(settings):
    """The words of a command for arguments without a flag; positional ones have capitals, as in the help."""
    fields, own = dataclasses.fields(settings), names_of(settings)
    positional = [f.name for f in fields if tyro.conf.Positional in getattr(f.type, "__metadata__", ())]
    words = _WORDS | ({"name": "--dataset"} if "dataset" in own else {})
    return {k: v for k, v in words.items() if k not in own} | {name: name.upper() for name in positional}


def _native(before, flag):
    """A flag with our name of a model or direction: `--model=cycle_gan` and `--direction BtoA` are PyTorch's."""
    name, sign, value = flag.rpartition("=")
    words = {"--model": PYTORCH_MODELS, "--direction": PYTORCH_DIRECTIONS}.get(name or before, {})
    return f"{name}{sign}{words[value]}" if value in words else flag


def _open_missing_streams():
    """Opens standard streams that are closed: a later file would get the number that libraries log to."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)


def _look_at_devices(debug):
    """Makes TensorFlow print its notes on devices now; with `--debug`, tracebacks show TensorFlow and Keras too."""
    devices = importlib.import_module("tf_cyclegan.training.devices")
    devices.describe_device()
    devices.avoid_failing_remapper()
    if debug:
        importlib.import_module("tensorflow").debugging.disable_traceback_filtering()
        importlib.import_module("keras").config.disable_traceback_filtering()


@contextlib.contextmanager
def _quiet_import():
    """Hides TensorFlow's notes on CUDA and CPU features, which no log level stops."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _print_version():
    from tf_cyclegan import __version__

    print(__version__)
    return 0


def _message(error):
    """The message of an error, without the system's number."""
    return re.sub(r"^\[Errno \d+\] ", "", str(error))


def _fail(message, code=2, debug=False):
    """Prints a message on the error stream, with `--debug` after the traceback; returns the exit code."""
    if debug:
        traceback.print_exc()
    first, *rest = message.splitlines()
    print("\n".join([f"error: {first}", *(f"  {line}" for line in rest)]), file=sys.stderr)
    return code


_COMMANDS = {
    "train": _train,
    "translate": _runner("translate", TranslateSettings, "tf_cyclegan.inference", "run_translate"),
    "evaluate": _runner("evaluate", EvaluateSettings, "tf_cyclegan.evaluation", "run_evaluate"),
    "export": _runner("export", ExportSettings, "tf_cyclegan.inference.export", "run_export"),
    "convert": _runner("convert", ConvertSettings, "tf_cyclegan.weights.convert", "run_convert"),
    "serve": _runner("serve", ServeSettings, "tf_cyclegan.inference.serve", "serve"),
}
