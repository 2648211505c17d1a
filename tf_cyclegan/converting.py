"""The command `convert`: weight files of other implementations to a model of this package, and back."""

from pathlib import Path

from tf_cyclegan.config import parse_size
from tf_cyclegan.files import check_writable, replacing
from tf_cyclegan.importing import import_model, is_weight_file
from tf_cyclegan.importing.parts import TensorFlowPart, is_pytorch_file
from tf_cyclegan.importing.roles import FILE_NAMES
from tf_cyclegan.known_ranges import known_ranges, ranges_in
from tf_cyclegan.models import UNIT, PretrainedGenerator
from tf_cyclegan.models.directions import TwoWayModel
from tf_cyclegan.pytorch import to_state_dict, write_checkpoint
from tf_cyclegan.pytorch.probe import largest_difference
from tf_cyclegan.run_data import run_settings
from tf_cyclegan.trained import load_trained
from tf_cyclegan.weights import save_pretrained
from tf_cyclegan.weights.documents import DOCUMENT, WEIGHTS
from tf_cyclegan.weights.provenance import command_of, scores_of, terms_of

# Two runs of PyTorch on two processors differ by 2e-4 where a network amplifies rounding.
_LARGEST_DIFFERENCE = 1e-3
_KERAS = ".keras"


def run_convert(config, report):
    """Converts weight files to a `.keras` file, or a trained model to PyTorch's checkpoints or a folder of weights.

    Where PyTorch is installed, each network and PyTorch's are run on the same random images, and the largest
    difference is reported.

    Args:
        config: `ConvertConfig`.
        report: callable, takes lines of text.

    Returns:
        0, or 1 if a network does not compute what PyTorch's does.

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
    model, networks = import_model(
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
    comparable = {role: pair for role, pair in networks.items() if not isinstance(pair[1], TensorFlowPart)}
    return _judged({role: part.difference(network) for role, (network, part) in comparable.items()}, report)


def _to_pytorch(config, report):
    _check_way_back(config)
    networks = _networks(load_trained(config.files[0], report, name="files"))
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
    written = [network for parts in networks.values() for part in parts.values() for network in part]
    return _judged({network.name: largest_difference(network, to_state_dict(network)) for network in written}, report)


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
    return 0


def _check_way_back(config):
    if config.output.suffix in (_KERAS, ".h5"):
        raise ValueError(f"`output` must be a folder, or for one network end in .pth. Received: {config.output}")
    for name in ("roles", "direction", "padding", "inference_statistics", "label_classes"):
        if getattr(config, name):
            raise ValueError(f"`{name}` has no use with {config.files[0]}: it is for weight files")


def _joined(networks):
    return {key: value for network in networks for key, value in to_state_dict(network).items()}


def _networks(model):
    """Names of files, to domains or "", to the networks that are kept together."""
    step = int(model.step)
    if isinstance(model, UNIT) and model.variant == "paper":
        names = {"E": "encoder", "G": "decoder", "D": "discriminator"}
        return {
            f"{letter}{number}_{step}": {"": [getattr(model, f"{kind}_{domain}")]}
            for letter, kind in names.items()
            for number, domain in enumerate("ab", start=1)
        }
    if isinstance(model, UNIT):
        generators = {d: [getattr(model, f"encoder_{d}"), getattr(model, f"decoder_{d}")] for d in "ab"}
        discriminators = {d: [getattr(model, f"discriminator_{d}")] for d in "ab"}
        return {f"gen_{step:08d}": generators, f"dis_{step:08d}": discriminators}
    if isinstance(model, TwoWayModel):
        roles = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
        return {FILE_NAMES[role]: {"": [getattr(model, role)]} for role in roles}
    roles = ("generator",) if isinstance(model, PretrainedGenerator) else ("generator", "discriminator", "encoder")
    networks = {role: getattr(model, f"{role}_network", None) for role in roles}
    return {FILE_NAMES[role]: {"": [network]} for role, network in networks.items() if network is not None}


def _judged(differences, report):
    measured = {name: value for name, value in differences.items() if value is not None}
    if len(measured) < len(differences):
        report("PyTorch is not installed: nothing was run against it. pip install 'tf_cyclegan[parity]' gets it.")
    for name, value in measured.items():
        report(f"{name}: differs from PyTorch by at most {value:.2g} on random images.")
    wrong = [name for name, value in measured.items() if not value <= _LARGEST_DIFFERENCE]
    if wrong:
        report(f"Not the same network as PyTorch's: {', '.join(wrong)}. Please report it.")
    return 1 if wrong else 0


def _check_free(paths, overwrite):
    for folder in {path.parent for path in paths}:
        check_writable(folder, "output")
    taken = [path for path in paths if path.exists()]
    if taken and not overwrite:
        raise ValueError(f"`output` exists: {', '.join(map(str, taken))}. Take another, or replace it by `overwrite`")
