"""The settings of the commands translate, evaluate, export, convert and serve."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from tf_cyclegan.settings.data import PlaceSettings
from tf_cyclegan.settings.fields import derived, otherwise, setting, settings
from tf_cyclegan.settings.server_limits import LimitSettings


def _positional(kind, metavar):
    return Annotated[kind, tyro.conf.Positional, tyro.conf.arg(metavar=metavar)]


@settings
class RangeSettings:
    """The values that are black and white in the files of each domain."""

    value_range: tuple[float, float] = derived(shown="the run's", metavar="LOW HIGH")
    """Values that are black and white in .npy and 16-bit files of domain A, if the model does not know them."""
    value_range_b: tuple[float, float] = derived(shown="the run's", metavar="LOW HIGH")
    """Values that are black and white in files of domain B. Defaults to the range of A if the range of B is unknown."""


@settings
class ExportSettings:
    """Exports the generators of a trained model for TensorFlow Serving, one model for each direction."""

    model: _positional(Path, "MODEL")
    """Run folder (its newest checkpoint), .keras file, a generator's weights, such as latest_net_G.pth, a folder of
    weights, or emoji for the bundled weights."""
    output: _positional(Path, "OUTPUT")
    """Folder in which NAME_ab/VERSION and NAME_ba/VERSION are written."""
    name: str = derived(shown="the name of the run folder or file", metavar="{None}|STR")
    """Name of the served models, before _ab and _ba."""
    direction: Literal["ab", "ba", "both"] = "both"
    """Direction to export."""
    ranges: RangeSettings = RangeSettings()
    formats: str = "saved_model"
    """Formats, separated by commas: saved_model, tflite, tflite_float16, tflite_int8, onnx."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the computation. float32 is exact. bfloat16 is for TPUs, GPUs and CPUs with AMX; images stay
    float32. CPUs without AMX are many times slower with it."""
    static_sizes: tuple[str, ...] = setting((), metavar="HEIGHTxWIDTH ...")
    """Sizes with a signature static_HEIGHTxWIDTH of fixed shape in the model, for TPUs and server-side batching."""
    keep: int = derived(shown="all")
    """Number of newest versions of each model to keep; older versions are removed after the new version is written."""


@settings
class ImportSettings:
    """Facts about networks that their weight files do not hold."""

    roles: tuple[str, ...] = setting((), metavar="ROLE ...")
    """The network in each file, if the file's name does not tell: generator_ab, generator_ba, discriminator_a (which
    judges domain A), discriminator_b, generator, discriminator, encoder, encoder_a, encoder_b, decoder_a, decoder_b."""
    label_classes: int = 0
    """Number of classes of the label maps that the generator takes, for pix2pixHD."""
    direction: Literal["ab", "ba"] = derived(shown="what the name tells, else ab")
    """Direction of a single generator, for example ba for pix2pix trained with BtoA."""
    image_size: str = setting("256", metavar="PIXELS")
    """Size of the images to train the model on, one side or HEIGHTxWIDTH; the model translates images of any size."""
    padding: Literal["reflect", "replicate", "zero"] = derived(shown="as found")
    """Padding of the residual blocks; weights are the same for replicate and reflect."""
    inference_statistics: Literal["moving", "image"] = derived(shown="moving")
    """Statistics of batch normalization: moving, as PyTorch in evaluation mode; image, as its test without --eval."""


@settings
class ConvertSettings:
    """Converts weight files of other implementations to a .keras file, or a trained model to PyTorch's checkpoints or
    to a folder of weights that from_pretrained takes."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE ...", help_behavior_hint="")]
    """Checkpoints of PyTorch or safetensors files, such as latest_net_G_A.pth latest_net_G_B.pth; or one run folder or
    .keras file, to convert it to PyTorch."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The .keras file to write; to convert to PyTorch a folder, or a .pth or .safetensors file for one network."""
    networks: ImportSettings = ImportSettings()
    format: Literal["pth", "safetensors", "pretrained"] = "pth"
    """Files in the folder: pth or safetensors, one file for each network of PyTorch; or pretrained, one file of the
    generators in half precision and a model.json, which from_pretrained and the other commands take."""
    license: str = derived(shown="the terms of bundled data", metavar="TEXT")
    """License of the weights in model.json, for --format=pretrained."""
    overwrite: bool = False
    """Replace existing files."""


@settings
class FileSettings:
    """The files of the translations."""

    format: Literal["png", "png16", "tif", "tif16", "tif32", "jpg", "webp", "bmp", "npy"] = derived(
        shown="the image's format and depth"
    )
    """Format of the translations: png16 and tif16 have 16 bits and tif32 is float32, all three for gray images only;
    npy is float32, the others have 8 bits. Values of more than 8 bits are in the units of the domain, see
    --value-range."""
    overwrite: bool = False
    """Replace existing files; without it, an existing file is an error before anything is translated."""
    skip_existing: bool = False
    """Keep existing files and translate the others, to go on with an interrupted translation of a folder."""


@settings
class TileSettings:
    """Translation of images that are too large for memory."""

    tile: bool = False
    """Translate images in pieces, with bounded memory."""
    tile_statistics: Literal["image", "tile"] = "image"
    """Statistics that normalize a piece. image: pieces are strips with the statistics of the whole image, and the
    translation is the same as in one piece. tile: pieces are tiles with their own statistics, without scratch files,
    also for exported models; colors drift from tile to tile."""
    tile_memory: float = setting(2.0, metavar="GB")
    """Largest memory for strips, in addition to the memory of TensorFlow and of the image."""
    tile_size: int = setting(1024, metavar="PIXELS")
    """Height and width of tiles: larger tiles differ less from the translation in one piece, and take more memory."""
    tile_overlap: int = setting(64, metavar="PIXELS")
    """Pixels over which neighboring tiles fade into each other."""
    scratch_dir: Path = derived(shown="next to the output", metavar="FOLDER")
    """Folder for the temporary files of strips: 17 GB for 8192x8192 pixels with 64 filters."""


@settings
class TranslateSettings:
    """Translates an image, the images of a folder and its subfolders, or the images that a pattern matches."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="[MODEL]", help_behavior_hint="")]
    """Run folder (its newest checkpoint), .keras file, an exported model (NAME_ab, or one of its versions), a
    generator's weights, such as latest_net_G.pth, a folder of weights, or emoji for the bundled weights, which are
    the default if only INPUT is given."""
    input: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="INPUT", help_behavior_hint="")] = None
    """Image, folder (with its subfolders), or quoted pattern such as 'photos/**/*.jpg'."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = tyro.MISSING
    """File for one image; otherwise a folder, which gets the subfolders of the input."""
    direction: Literal["ab", "ba"] = derived(shown="ab, or the direction of an exported model", metavar="{None,ab,ba}")
    """Direction to translate; an exported model has only one."""
    instances: Path = derived(shown="test_inst next to test_label", metavar="FOLDER")
    """Folder of instance maps with the same names as the label maps, for models that take both."""
    side_by_side: bool = derived(shown="images with the shape of the run's files")
    """Whether a file holds a pair, A left and B right; the half of the direction's first domain is translated."""
    ranges: RangeSettings = RangeSettings()
    files: FileSettings = FileSettings()
    tiles: TileSettings = TileSettings()


@settings
class DataChoiceSettings(PlaceSettings):
    """Other data than the data of the run."""

    dataset: str = otherwise(shown="the run's")
    """Data set: a name or a folder, as for train."""
    data_a = otherwise(shown="the run's")
    data_b = otherwise(shown="the run's")
    data_dir = otherwise(shown="the run's")
    image_size: str = derived(shown="the run's", metavar="PIXELS")
    """Size of the images: one side or HEIGHTxWIDTH."""


@settings
class InstrumentSettings:
    """The networks and files that measure translations."""

    features: str = setting("inception", metavar="inception|FILE")
    """Feature network of the distances: inception, which is downloaded once (95 MB), its file, or a .keras network.
    Only Inception's distances are called FID and KID."""
    resize: Literal["legacy_pytorch", "clean"] = "legacy_pytorch"
    """How images are resized for --features: legacy_pytorch as by pytorch-fid, clean as by clean-fid."""
    perceptual_weights: str = setting("imagenet", metavar="imagenet|FILE")
    """Weights of VGG19 for the perceptual distance: imagenet, which Keras downloads, or a file."""
    segmenter: Path = derived(shown="none", metavar="FILE")
    """A .keras network from images to scores of classes. Its classes for translations of label maps are compared with
    the label maps. Compare these scores only with the segmenter's scores for the real photos."""
    segmenter_range: tuple[float, float] = setting((-1, 1), metavar="LOW HIGH")
    """Values of black and white in the segmenter's input."""
    palette: Path = derived(shown="none", metavar="FILE")
    """Text file with the colors of color-coded label maps, a line R G B or id R G B for each class; id 255 is for
    pixels that do not count. With pairs, translations to label maps are compared by these colors."""


@settings
class EvaluateSettings:
    """Scores a trained model, reports its problems in plain words, and writes a report with pictures."""

    model: _positional(Path, "MODEL")
    """Run folder, .keras file, a generator's weights, such as latest_net_G.pth, a folder of weights, or emoji for the
    bundled weights."""
    data: DataChoiceSettings = DataChoiceSettings()
    ranges: RangeSettings = RangeSettings()
    split: Literal["test", "train"] = "test"
    """Images to score: test, which the model has not seen, or train, which it was trained on."""
    paired: bool = False
    """Whether files with the same name are pairs, so that the right answers are known even for a model that learned
    without them. Emoji and models of pairs need no flag."""
    checkpoint: Literal["newest", "best"] = "newest"
    """Checkpoint of a run folder: newest, or best, which train keeps with --evaluate-every."""
    direction: Literal["ab", "ba"] = derived(shown="all")
    """Direction to evaluate."""
    metrics: str = derived(shown="all that are possible", metavar="NAME,...")
    """Scores, separated by commas: fid, kid, l1, psnr, ssim, perceptual, cycle, identity, change, diversity, luminance;
    frechet and kernel with the --features of a file; pixel_accuracy, class_accuracy, class_iou with a --segmenter or
    --palette."""
    instruments: InstrumentSettings = InstrumentSettings()
    count: int = derived(shown="all")
    """Largest number of images of each domain, spread over the split."""
    seed: int = 0
    """Seed for the images in the report that are drawn at random, and for the subsets of the kernel distance."""
    output: Annotated[
        Path | None, tyro.conf.arg(aliases=["-o"], help_behavior_hint="(default: MODEL/evaluation)", metavar="FOLDER")
    ] = None
    """Folder in which evaluation.json and report.html are written."""


@settings
class ServeSettings:
    """Serves exported models through TensorFlow Serving's REST interface, with a page to try them at /."""

    directory: Annotated[
        Path | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[DIRECTORY]", help_behavior_hint="(default: emoji, the bundled weights)"),
    ] = None
    """Folder of models, NAME/VERSION/saved_model.pb; the server finds new versions while it runs."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 means every interface, for use behind a proxy."""
    port: int = 8501
    """Port; 0 takes a free one."""
    grpc_port: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: no gRPC)", metavar="PORT")] = None
    """Port of TensorFlow Serving's gRPC interface, usually 8500; 0 takes a free one."""
    allowed_hosts: Annotated[str, tyro.conf.arg(metavar="NAME,...", help_behavior_hint="")] = ""
    """Names that requests may have in Host, in addition to this machine's own, such as
    models.example.com,*.example.org, or * for any. Without this flag, a server on a loopback address takes only
    localhost, 127.0.0.0/8 and [::1], because other sites can point their names there (DNS rebinding); a server on
    another address takes any name."""
    keep_alive_seconds: float = 75.0
    """Seconds that a connection may be idle between requests; most load balancers keep connections for 60 seconds."""
    labels: tuple[str, ...] = setting((), metavar="NAME:LABEL=VERSION ...")
    """Labels of versions, such as horse2zebra_ab:stable=1; labeled versions are served in addition to the newest."""
    poll_seconds: float = 1.0
    """Seconds from one search for new versions to the next."""
    limits: LimitSettings = LimitSettings()
    cors: bool = False
    """Allow pages of other origins to call the server."""
