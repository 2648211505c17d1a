"""The command `convert`: makes a model of weight files of other implementations, and weight files of a model."""

from pathlib import Path

import keras
import numpy as np

from tf_cyclegan.files import check_writable, replacing
from tf_cyclegan.settings.data import parse_size
from tf_cyclegan.weights import save_pretrained
from tf_cyclegan.weights.import_model import import_model
from tf_cyclegan.weights.known_ranges import known_ranges, ranges_in
from tf_cyclegan.weights.pretrained import stored_arrays
from tf_cyclegan.weights.provenance import command_of, scores_of, terms_of
from tf_cyclegan.weights.pytorch import read_checkpoint, to_state_dict, write_checkpoint
from tf_cyclegan.weights.run_files import run_settings
from tf_cyclegan.weights.trained_models import load_trained
from tf_cyclegan.weights.weight_files import FILE_NAMES, is_pytorch_file, is_weight_file
from tf_cyclegan.weights.weight_folders import DOCUMENT, WEIGHTS

_KERAS = ".keras"


def run_convert(config, report):
    """Converts weight files to a `.keras` file, or a trained model to PyTorch's checkpoints or a folder of weights.

    What was written is read again and compared with the networks: every name, shape and value.

    Args:
        config: `ConvertSettings`.
        report: callable, takes lines of text.

    Returns:
        0, or 1 if what is read again differs.

    Raises:
        ValueError: if a file cannot be read, the networks make no model, or files would be replaced.
        OSError: if a file cannot be written; an earlier one is then as it was.
    """
    strange = [path for path in config.files if not is_weight_file(path)]
    if not strange:
        return _to_keras(config.files, config.output, config.networks, config.overwrite, report)
    if len(config.files) > 1:
        raise ValueError(f"`files` must be weight files, or one run folder or .keras file. Received: {strange[0]}")
    path = config.files[0]
    _check_way_back(path, config.output, config.networks)
    if config.format == "pretrained":
        return _to_pretrained(path, config.output, config.license, config.overwrite, report)
    return _to_pytorch(path, config.output, config.format, config.overwrite, report)


def _to_keras(files, output, of_networks, overwrite, report):
    if output.suffix != _KERAS:
        raise ValueError(f"`output` must end in .keras for weight files. Received: {output}")
    _check_free([output], overwrite)
    model, _ = import_model(
        files,
        of_networks.roles,
        of_networks.direction,
        of_networks.label_classes,
        parse_size(of_networks.image_size, "image_size"),
        report,
        padding=of_networks.padding,
        inference_statistics=of_networks.inference_statistics,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as aside:
        model.save(aside)
    report(f"Wrote {output}, a {type(model).__name__} for the directions {' and '.join(model.directions)}.")
    return _compared(_weights(model), _weights(keras.models.load_model(output, compile=False)), report)


def _to_pytorch(path, output, file_format, overwrite, report):
    files = load_trained(path, report, name="files").weight_files()
    networks = {FILE_NAMES.get(name, name): parts for name, parts in files.items()}
    single = is_pytorch_file(output)
    if single and len(networks) > 1:
        raise ValueError(f"`output` must be a folder: it gets {', '.join(networks)}. Received: {output}")
    # All of them before anything is written: one may have no counterpart.
    states = {name: {domain: _joined(part) for domain, part in parts.items()} for name, parts in networks.items()}
    targets = {output if single else output / f"{name}.{file_format}": name for name in networks}
    _check_free(targets, overwrite)
    (output.parent if single else output).mkdir(parents=True, exist_ok=True)
    for target, name in targets.items():
        write_checkpoint(target, states[name].get("", states[name]))
        report(f"Wrote {target}.")
    if flags := known_ranges(path).flags():
        report(f"Such files hold no range of values: who translates with them adds {flags}.")
    written, found = {}, {}
    for target, name in targets.items():
        written |= {f"{target}: {key}": value for key, value in _dotted(states[name])}
        found |= {f"{target}: {key}": value for key, value in read_checkpoint(target).items()}
    return _compared(written, found, report)


def _to_pretrained(path, output, terms, overwrite, report):
    if is_pytorch_file(output):
        raise ValueError(f"`output` must be a folder for `format` pretrained. Received: {output}")
    _check_free([output / name for name in (DOCUMENT, WEIGHTS)], overwrite)
    path = Path(path)
    model = load_trained(path, report, name="files")
    settings = run_settings(path) or {}
    ranges = ranges_in(settings)
    save_pretrained(
        model,
        output,
        license=terms or terms_of(settings),
        command=command_of(settings),
        scores=scores_of(path, int(model.step)),
        value_range=ranges.a,
        value_range_b=ranges.b,
    )
    size = (output / WEIGHTS).stat().st_size / 1e6
    report(f"Wrote {output}: {size:.2f} MB, the generators in half precision, for from_pretrained.")
    return _compared(stored_arrays(model), read_checkpoint(output / WEIGHTS), report)


def _check_way_back(path, output, of_networks):
    if output.suffix in (_KERAS, ".h5"):
        raise ValueError(f"`output` must be a folder, or for one network end in .pth. Received: {output}")
    for name in ("roles", "direction", "padding", "inference_statistics", "label_classes"):
        if getattr(of_networks, name):
            raise ValueError(f"`{name}` has no use with {path}: it is for weight files")


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
