"""The command `convert`: weight files of other implementations to a model of this package, and back."""

from pathlib import Path

import keras
import numpy as np

from tf_cyclegan.config import parse_size
from tf_cyclegan.files import check_writable, replacing
from tf_cyclegan.importing import import_model, is_weight_file
from tf_cyclegan.importing.parts import is_pytorch_file
from tf_cyclegan.importing.roles import FILE_NAMES
from tf_cyclegan.known_ranges import known_ranges, ranges_in
from tf_cyclegan.pytorch import read_checkpoint, to_state_dict, write_checkpoint
from tf_cyclegan.run_data import run_settings
from tf_cyclegan.trained import load_trained
from tf_cyclegan.weights import save_pretrained
from tf_cyclegan.weights.documents import DOCUMENT, WEIGHTS
from tf_cyclegan.weights.provenance import command_of, scores_of, terms_of
from tf_cyclegan.weights.storing import stored_arrays

_KERAS = ".keras"


def run_convert(config, report):
    """Converts weight files to a `.keras` file, or a trained model to PyTorch's checkpoints or a folder of weights.

    What was written is read again and compared with the networks: every name, shape and value.

    Args:
        config: `ConvertConfig`.
        report: callable, takes lines of text.

    Returns:
        0, or 1 if what is read again differs.

    Raises:
        ValueError: if a file cannot be read, the networks make no model, or files would be replaced.
        OSError: if a file cannot be written; an earlier one is then as it was.
    """
    strange = [path for path in config.files if not is_weight_file(path)]
    if not strange:
        return _to_keras(config, report)
    if len(config.files) > 1:
        raise ValueError(f"`files` must be weight files, or one run folder or .keras file. Received: {strange[0]}")
    if config.format == "pretrained":
        return _to_pretrained(config, report)
    return _to_pytorch(config, report)


def _to_keras(config, report):
    if config.output.suffix != _KERAS:
        raise ValueError(f"`output` must end in .keras for weight files. Received: {config.output}")
    _check_free([config.output], config.overwrite)
    model, _ = import_model(
        config.files,
        config.roles,
        config.direction,
        config.label_classes,
        parse_size(config.image_size, "image_size"),
        report,
        padding=config.padding,
        inference_statistics=config.inference_statistics,
    )
    config.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(config.output) as aside:
        model.save(aside)
    report(f"Wrote {config.output}, a {type(model).__name__} for the directions {' and '.join(model.directions)}.")
    return _compared(_weights(model), _weights(keras.models.load_model(config.output, compile=False)), report)


def _to_pytorch(config, report):
    _check_way_back(config)
    files = load_trained(config.files[0], report, name="files").weight_files()
    networks = {FILE_NAMES.get(name, name): parts for name, parts in files.items()}
    single = is_pytorch_file(config.output)
    if single and len(networks) > 1:
        raise ValueError(f"`output` must be a folder: it gets {', '.join(networks)}. Received: {config.output}")
    # All of them before anything is written: one may have no counterpart.
    states = {name: {domain: _joined(part) for domain, part in parts.items()} for name, parts in networks.items()}
    targets = {config.output if single else config.output / f"{name}.{config.format}": name for name in networks}
    _check_free(targets, config.overwrite)
    (config.output.parent if single else config.output).mkdir(parents=True, exist_ok=True)
    for path, name in targets.items():
        write_checkpoint(path, states[name].get("", states[name]))
        report(f"Wrote {path}.")
    if flags := known_ranges(config.files[0]).flags():
        report(f"Such files hold no range of values: who translates with them adds {flags}.")
    written, found = {}, {}
    for path, name in targets.items():
        written |= {f"{path}: {key}": value for key, value in _dotted(states[name])}
        found |= {f"{path}: {key}": value for key, value in read_checkpoint(path).items()}
    return _compared(written, found, report)


def _to_pretrained(config, report):
    _check_way_back(config)
    if is_pytorch_file(config.output):
        raise ValueError(f"`output` must be a folder for `format` pretrained. Received: {config.output}")
    _check_free([config.output / name for name in (DOCUMENT, WEIGHTS)], config.overwrite)
    path = Path(config.files[0])
    model = load_trained(path, report, name="files")
    settings = run_settings(path) or {}
    ranges = ranges_in(settings)
    save_pretrained(
        model,
        config.output,
        license=config.license or terms_of(settings),
        command=command_of(settings),
        scores=scores_of(path, int(model.step)),
        value_range=ranges.a,
        value_range_b=ranges.b,
    )
    size = (config.output / WEIGHTS).stat().st_size / 1e6
    report(f"Wrote {config.output}: {size:.2f} MB, the generators in half precision, for from_pretrained.")
    return _compared(stored_arrays(model), read_checkpoint(config.output / WEIGHTS), report)


def _check_way_back(config):
    if config.output.suffix in (_KERAS, ".h5"):
        raise ValueError(f"`output` must be a folder, or for one network end in .pth. Received: {config.output}")
    for name in ("roles", "direction", "padding", "inference_statistics", "label_classes"):
        if getattr(config, name):
            raise ValueError(f"`{name}` has no use with {config.files[0]}: it is for weight files")


def _joined(networks):
    return {key: value for network in networks for key, value in to_state_dict(network).items()}


def _dotted(domains):
    for domain, state in domains.items():
        yield from ((f"{domain}.{name}" if domain else name, value) for name, value in state.items())


def _weights(model):
    return {weight.path: np.asarray(weight) for weight in model.weights}


def _compared(written, found, report):
    """Compares dicts of names to arrays, the values bit for bit; 1 if they differ."""
    wrong = [name for name in written.keys() | found.keys() if not _equal(written.get(name), found.get(name))]
    if wrong:
        report(f"Read again, {len(wrong)} of {len(written)} arrays differ, the first {min(wrong)}. Please report it.")
        return 1
    values = sum(array.size for array in written.values())
    report(f"Read again: {len(written)} names, their shapes and all {values:,} values are equal.")
    return 0


def _equal(a, b):
    return a is not None and b is not None and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def _check_free(paths, overwrite):
    for folder in {path.parent for path in paths}:
        check_writable(folder, "output")
    taken = [path for path in paths if path.exists()]
    if taken and not overwrite:
        raise ValueError(f"`output` exists: {', '.join(map(str, taken))}. Take another, or replace it by `overwrite`")
