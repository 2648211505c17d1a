"""The settings of every command except `train`."""

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
    """Which values are black and white in the files of each domain."""

    value_range: tuple[float, float] = derived(shown="the run's", metavar="LOW HIGH")
    """Values that are black and white in .npy and 16-bit files of domain A, where the model does not know them."""
    value_range_b: tuple[float, float] = derived(shown="the run's", metavar="LOW HIGH")
    """The same for domain B; the range of A where the range of B is unknown or was the same."""


@settings
class ExportSettings:
    """Exports the generators of a trained model for TensorFlow Serving, each direction as a model of its own."""

    model: _positional(Path, "MODEL")
    """Run folder (its newest checkpoint), .keras file, a generator's weights, such as latest_net_G.pth, a folder of
    weights, or emoji for the bundled weights."""
    output: _positional(Path, "OUTPUT")
    """Folder that gets NAME_ab/VERSION and NAME_ba/VERSION."""
    name: str = derived(shown="the name of the run folder or file", metavar="{None}|STR")
    """Name of the served models, before _ab and _ba."""
    direction: Literal["ab", "ba", "both"] = "both"
    """Direction to export."""
    ranges: RangeSettings = RangeSettings()
    formats: str = "saved_model"
    """Formats, separated by commas: saved_model, tflite, tflite_float16, tflite_int8, onnx."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """float32 is exact. bfloat16 is for TPUs, GPUs and CPUs with AMX, and takes and gives float32; CPUs without AMX are
    many times slower with it."""
    static_sizes: tuple[str, ...] = setting((), metavar="HEIGHTxWIDTH ...")
    """Sizes that get a signature static_HEIGHTxWIDTH of fixed shape, for TPUs and server-side batching."""
    keep: int = derived(shown="all")
    """Number of newest versions of each model to keep; older ones are removed after the new one is in place."""


@settings
class ImportSettings:
    """What weight files do not say about their networks."""

    roles: tuple[str, ...] = setting((), metavar="ROLE ...")
    """Which network each file holds, where its name does not tell: generator_ab, generator_ba, discriminator_a (which
    judges domain A), discriminator_b, generator, discriminator, encoder, encoder_a, encoder_b, decoder_a, decoder_b."""
    label_classes: int = 0
    """pix2pixHD: classes of the label maps that the generator takes."""
    direction: Literal["ab", "ba"] = derived(shown="what the name tells, else ab")
    """Direction of a single generator, such as ba for pix2pix trained with BtoA."""
    image_size: str = setting("256", metavar="PIXELS")
    """Size of the images that the model is to be trained on, a side or HEIGHTxWIDTH; it translates any size."""
    padding: Literal["reflect", "replicate", "zero"] = derived(shown="as found")
    """Padding of the residual blocks: a file does not tell replicate from reflect."""
    inference_statistics: Literal["moving", "image"] = derived(shown="moving")
    """Statistics of batch normalization: moving, as PyTorch in evaluation mode; image, as its test without --eval."""


@settings
class ConvertSettings:
    """Converts weight files of other implementations to a .keras file, or a trained model to PyTorch's checkpoints or
    to a folder of weights that from_pretrained takes."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE ...", help_behavior_hint="")]
    """Checkpoints of PyTorch or safetensors files, such as latest_net_G_A.pth latest_net_G_B.pth; for the way back, one
    run folder or .keras file."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The .keras file; for the way back a folder, or for one network a .pth or .safetensors file."""
    networks: ImportSettings = ImportSettings()
    format: Literal["pth", "safetensors", "pretrained"] = "pth"
    """What the way back writes to a folder: a .pth or .safetensors file for each of PyTorch's networks, or pretrained:
    one file of the generators in half precision and a model.json, which from_pretrained and the other commands take."""
    license: str = derived(shown="the terms of bundled data", metavar="TEXT")
    """Terms that model.json states, with --format=pretrained."""
    overwrite: bool = False
    """Replace existing files."""


@settings
class FileSettings:
    """How translations are written."""

    format: Literal["png", "png16", "tif", "tif16", "tif32", "jpg", "webp", "bmp", "npy"] = derived(
        shown="the image's format and depth"
    )
    """Format of translations: png16 and tif16 have 16 bits and tif32 is float32, all three for gray alone; npy is
    float32, the others have 8 bits. Values of more than 8 bits are in the units of the domain, see --value-range."""
    overwrite: bool = False
    """Replace existing files; otherwise they are an error before anything is translated."""
    skip_existing: bool = False
    """Leave existing files and translate what is missing: an interrupted translation of a folder goes on."""


@settings
class TileSettings:
    """Translation of images that are too large for memory."""

    tile: bool = False
    """Translate images in pieces, in bounded memory."""
    tile_statistics: Literal["image", "tile"] = "image"
    """What pieces are normalized by. image: strips by the whole image, which gives the same translation as one piece.
    tile: each tile by itself, without scratch files, also for exported models; colors drift from tile to tile."""
    tile_memory: float = setting(2.0, metavar="GB")
    """Most memory for strips, in addition to the memory of TensorFlow and of the image."""
    tile_size: int = setting(1024, metavar="PIXELS")
    """Height and width of tiles: larger tiles differ less from the translation in one piece, and take more memory."""
    tile_overlap: int = setting(64, metavar="PIXELS")
    """Pixels over which neighboring tiles fade into each other."""
    scratch_dir: Path = derived(shown="next to the output", metavar="FOLDER")
    """Where strips keep their maps meanwhile: 17 GB for 8192x8192 pixels with 64 filters."""


@settings
class TranslateSettings:
    """Translates an image, the images of a folder tree, or those that a pattern matches."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="[MODEL]", help_behavior_hint="")]
    """Run folder (its newest checkpoint), .keras file, an exported model (NAME_ab, or one of its versions), a
    generator's weights, such as latest_net_G.pth, a folder of weights, or emoji for the bundled weights, which are
    taken where INPUT stands alone."""
    input: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="INPUT", help_behavior_hint="")] = None
    """Image, folder (with all folders inside), or quoted pattern such as 'photos/**/*.jpg'."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = tyro.MISSING
    """File for one image, else folder, which gets the folders of the input."""
    direction: Literal["ab", "ba"] = derived(shown="ab, or the direction of an exported model", metavar="{None,ab,ba}")
    """Direction to translate; an exported model has only one."""
    instances: Path = derived(shown="test_inst next to test_label", metavar="FOLDER")
    """Instance maps with the names of the label maps, for models that take both."""
    side_by_side: bool = derived(shown="images with the shape of the run's files")
    """Images are pairs, A left and B right; the half of the domain that the direction begins with is translated."""
    ranges: RangeSettings = RangeSettings()
    files: FileSettings = FileSettings()
    tiles: TileSettings = TileSettings()


@settings
class DataChoiceSettings(PlaceSettings):
    """Data other than the run's."""

    dataset: str = otherwise(shown="the run's")
    """Data set, as for train: a name or a folder."""
    data_a = otherwise(shown="the run's")
    data_b = otherwise(shown="the run's")
    data_dir = otherwise(shown="the run's")
    image_size: str = derived(shown="the run's", metavar="PIXELS")
    """Size of the images: one side or HEIGHTxWIDTH."""


@settings
class InstrumentSettings:
    """What measures translations."""

    features: str = setting("inception", metavar="inception|FILE")
    """Network of the distances: inception, which is downloaded once (95 MB), its file or a .keras network. Only
    Inception's distances are called FID and KID."""
    resize: Literal["legacy_pytorch", "clean"] = "legacy_pytorch"
    """How images are resized for that network: as by pytorch-fid, or as by clean-fid."""
    perceptual_weights: str = setting("imagenet", metavar="imagenet|FILE")
    """Weights of VGG19 for the perceptual distance: imagenet for Keras's download, or a file."""
    segmenter: Path = derived(shown="none", metavar="FILE")
    """A .keras network from images to scores of classes: the classes that it sees in translations from label maps are
    compared with the label maps. Compare its figures only with its figures for the real photos."""
    segmenter_range: tuple[float, float] = setting((-1, 1), metavar="LOW HIGH")
    """Values that the segmenter takes for black and white."""
    palette: Path = derived(shown="none", metavar="FILE")
    """Text file with the colors of color-coded label maps, a line R G B or id R G B for each class; id 255 marks
    pixels that do not count. With pairs, translations to label maps are compared by these colors."""


@settings
class EvaluateSettings:
    """Scores a trained model, says in plain words how healthy it is, and writes a report with pictures."""

    model: _positional(Path, "MODEL")
    """Run folder, .keras file, a generator's weights, such as latest_net_G.pth, a folder of weights, or emoji for the
    bundled weights."""
    data: DataChoiceSettings = DataChoiceSettings()
    ranges: RangeSettings = RangeSettings()
    split: Literal["test", "train"] = "test"
    """test: images that the model has not seen. train: images that it was trained on."""
    paired: bool = False
    """Files of one name are pairs: the right answers are known, although the model may have learned without them. Emoji
    and models of pairs need no flag."""
    checkpoint: Literal["newest", "best"] = "newest"
    """Checkpoint of a run folder: the newest, or the best, which train keeps with --evaluate-every."""
    direction: Literal["ab", "ba"] = derived(shown="all")
    """Direction to evaluate."""
    metrics: str = derived(shown="all that are possible", metavar="NAME,...")
    """Scores, separated by commas: fid, kid, l1, psnr, ssim, perceptual, cycle, identity, change, diversity, luminance;
    frechet and kernel with the --features of a file; pixel_accuracy, class_accuracy, class_iou with a --segmenter or
    --palette."""
    instruments: InstrumentSettings = InstrumentSettings()
    count: int = derived(shown="all")
    """Most images of each domain, spread over the split."""
    seed: int = 0
    """Seed of the images that are shown at random, and of the kernel distance's subsets."""
    output: Annotated[
        Path | None, tyro.conf.arg(aliases=["-o"], help_behavior_hint="(default: MODEL/evaluation)", metavar="FOLDER")
    ] = None
    """Folder that gets evaluation.json and report.html."""


@settings
class ServeSettings:
    """Serves exported models by TensorFlow Serving's REST interface, with a page to try them at /."""

    directory: Annotated[
        Path | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[DIRECTORY]", help_behavior_hint="(default: emoji, the bundled weights)"),
    ] = None
    """Folder with models, NAME/VERSION/saved_model.pb; new versions are found while it runs."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every interface, for use behind a proxy."""
    port: int = 8501
    """Port; 0 takes a free one."""
    grpc_port: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: no gRPC)", metavar="PORT")] = None
    """Port of TensorFlow Serving's gRPC interface, usually 8500; 0 takes a free one."""
    allowed_hosts: Annotated[str, tyro.conf.arg(metavar="NAME,...", help_behavior_hint="")] = ""
    """Names that requests may have in Host, besides this machine's own, such as models.example.com,*.example.org or *
    for any. Without this flag, a server on a loopback address takes only localhost, 127.0.0.0/8 and [::1], because
    other sites can point their names there (DNS rebinding); servers on other addresses take any."""
    keep_alive_seconds: float = 75.0
    """Seconds that a connection may be idle between requests: more than in load balancers, which mostly keep 60."""
    labels: tuple[str, ...] = setting((), metavar="NAME:LABEL=VERSION ...")
    """Labels of versions, such as horse2zebra_ab:stable=1; a labeled version is served as well as the newest."""
    poll_seconds: float = 1.0
    """Seconds from one search for new versions to the next."""
    limits: LimitSettings = LimitSettings()
    cors: bool = False
    """Let pages of other origins call the server."""
