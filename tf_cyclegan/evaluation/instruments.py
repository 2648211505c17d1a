"""Instruments: the metrics of an evaluation with the networks that they need, loaded once."""

import dataclasses

from tf_cyclegan.evaluation.catalog import DISTANCES, METRICS, OF_LABELS
from tf_cyclegan.evaluation.metrics import feature_extractor
from tf_cyclegan.evaluation.metrics.features import INCEPTION
from tf_cyclegan.evaluation.metrics.inception import WeightsUnavailable
from tf_cyclegan.evaluation.palettes import read_palette
from tf_cyclegan.evaluation.segmenters import open_segmenter
from tf_cyclegan.networks import vgg
from tf_cyclegan.settings.checks import check_choice, one_line


@dataclasses.dataclass(frozen=True)
class Instruments:
    """The metrics of an evaluation, and their networks.

    Args:
        metrics: tuple of names of `METRICS`.
        asked: bool, whether the user named the metrics: a metric that cannot be computed is then an error.
        extractor: optional `metrics.FeatureExtractor`, for distances.
        perceptual_network: optional callable, see `metrics.perceptual_distance`.
        left_out: dict of metric to the reason why it cannot be computed.
        segmenter: optional `segmenters.Segmenter`, which finds classes in translations of label maps.
        palette: optional `palettes.Palette` of color-coded label maps.
    """

    metrics: tuple
    asked: bool = False
    extractor: object = None
    perceptual_network: object = None
    left_out: dict = dataclasses.field(default_factory=dict)
    segmenter: object = None
    palette: object = None


def open_instruments(
    metrics=None,
    features=INCEPTION,
    resize="legacy_pytorch",
    perceptual_weights="imagenet",
    required=None,
    segmenter=None,
    segmenter_range=(-1, 1),
    palette=None,
):
    """Loads the networks that metrics need; a metric whose network is missing is left out, or an error.

    Args:
        metrics: names of `METRICS`, or None for all that can be computed. Defaults to None.
        features: as in `metrics.feature_extractor`, for the distances. Defaults to `"inception"`.
        resize: as in `metrics.feature_extractor`. Defaults to `"legacy_pytorch"`.
        perceptual_weights: as `weights` in `networks.vgg.vgg19_features`. Defaults to `"imagenet"`.
        required: bool, whether a metric that cannot be computed is an error. Defaults to True if `metrics` are given.
        segmenter, segmenter_range: as in `segmenters.open_segmenter`, for the scores by label maps. Default to None and
            `(-1, 1)`.
        palette: file of the colors of label maps, as in `palettes.read_palette`. Defaults to None.

    Returns:
        `Instruments`.

    Raises:
        ValueError: if a metric is unknown, a file cannot be read, or a required metric cannot be computed.

    Example:
        >>> open_instruments(["l1", "ssim"]).metrics
        ('l1', 'ssim')
    """
    asked = metrics is not None if required is None else required
    for name in metrics or ():
        check_choice("metrics", name, METRICS)
    wanted = tuple(METRICS) if metrics is None else tuple(metrics)
    of_labels = {}
    if set(OF_LABELS) & set(wanted):
        of_labels["segmenter"] = open_segmenter(segmenter, segmenter_range) if segmenter else None
        of_labels["palette"] = read_palette(palette) if palette else None
    extractor, wanted, left_out = _extractor(wanted, asked, features, resize)
    network = None
    if "perceptual" in wanted:
        network, reason = _perceptual_network(perceptual_weights, asked)
        left_out |= {"perceptual": reason} if reason else {}
    names = tuple(name for name in wanted if name not in left_out)
    return Instruments(names, asked, extractor, network, left_out, **of_labels)


def _extractor(wanted, asked, features, resize):
    """The extractor, the metrics with the names of its distances, and the metrics that are left out."""
    distances = [name for name in wanted if name in DISTANCES]
    if not distances:
        return None, wanted, {}
    others = tuple(name for name in wanted if name not in DISTANCES)
    try:
        extractor = feature_extractor(features, resize=resize)
    except WeightsUnavailable as error:
        reason = f"{error}, as `features`".replace("`weights` of Inception", "Inception's weights")
        if asked:
            raise ValueError(f"`metrics` {', '.join(distances)} cannot be computed: {reason}") from error
        return None, others, {"fid": reason, "kid": reason}
    return extractor, (*_named(distances, extractor, asked), *others), {}


def _named(distances, extractor, asked):
    """The names of the distances: `frechet` with Inception is a `fid`, and `fid` is refused for other networks."""
    own = {"frechet": "fid", "kernel": "kid"} if extractor.name == INCEPTION else {}
    for name in distances:
        if asked and not own and name in ("fid", "kid"):
            raise ValueError(
                f"`metrics` {name} is of Inception's features alone; with others it is {DISTANCES[name]}. "
                f"Received: {name} with {extractor.name}"
            )
    kinds = dict.fromkeys(DISTANCES[name] for name in distances)
    return tuple(own.get(kind, kind) for kind in kinds)


def _perceptual_network(weights, asked):
    try:
        return vgg.vgg19_features(weights, dtype="float32"), None
    except vgg.WeightsUnavailable as error:
        reason = one_line(error.__cause__ or error)
        text = f"VGG19's weights could not be downloaded ({reason}). Give a file of Keras's as `perceptual_weights`"
        if asked:
            raise ValueError(f"`metrics` perceptual cannot be computed: {text}") from error
        return None, text
