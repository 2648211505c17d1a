"""The settings of a training run, as a dataclass from which the flags are made. Imports no TensorFlow."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import tyro

from tf_cyclegan.checks import check_integer, check_range, check_share
from tf_cyclegan.defaults import DATASETS, recipe, unused_settings


def _derived(kind, default, metavar=None):
    """A setting that may be None, whose default the help tells in words."""
    if metavar is None and get_origin(kind) is Literal:
        metavar = f"{{{','.join(get_args(kind))}}}"
    return Annotated[kind | None, tyro.conf.arg(help_behavior_hint=f"(default: {default})", metavar=metavar)]


_Normalization = Literal["instance", "affine_instance", "batch", "none"]


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Trains a model that translates images between two domains."""

    dataset: _derived(str, "emoji; emoji/lines for models of pairs", "NAME|FOLDER") = None
    """emoji, emoji/lines, cycle_gan/NAME (horse2zebra, monet2photo, ...: TensorFlow Datasets downloads it), or a folder
    with trainA, trainB, testA, testB; pairs may also stand side by side in the files of train and test."""
    data_a: _derived(Path, "none", "FOLDER") = None
    """Folder of domain A; with --data-b, in the place of --dataset."""
    data_b: _derived(Path, "none", "FOLDER") = None
    """Folder of domain B."""
    test_share: float = 0.1
    """Share of --data-a and --data-b that is held out for testing."""
    data_dir: _derived(Path, "that of TensorFlow Datasets", "FOLDER") = None
    """Where downloads are kept."""
    mirror: _derived(str, "the authors' server", "URL") = None
    """Address from which NAME.zip of cycle_gan/NAME is downloaded."""
    image_size: _derived(str, "64 for emoji, 512 for pix2pixhd, else 256", "PIXELS") = None
    """Size of the images the model is trained on: one side or HEIGHTxWIDTH, multiples of 4, for U-Nets
    and pix2pixhd of 2^--downsamplings."""
    load_size: _derived(str, "286/256 of --image-size; for emoji the same", "PIXELS") = None
    """Size to which images are resized before a random crop."""
    resize_mode: Literal["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"] = "resize_and_crop"
    """How images come to size: crop does not resize, scale_width keeps the ratio."""
    flip: bool = True
    """Mirror images at random."""
    channels: _derived(int, "3; for label maps 1, with instance maps 2", "INT") = None
    """Channels of domain A: 1 grey, 3 color, any number for .npy."""
    channels_b: _derived(int, "--channels; 3 beside label maps", "INT") = None
    """Channels of domain B."""
    value_range: _derived(tuple[float, float], "that of the integer type", "LOW HIGH") = None
    """Lowest and highest value in .npy and 16-bit files; floats need it."""
    value_range_b: _derived(tuple[float, float], "--value-range", "LOW HIGH") = None
    """Those of domain B."""
    skip_unreadable: bool = False
    """Go on without the files that cannot be read, and list them."""
    cache: Literal["memory", "disk", "none"] = "memory"
    """Where decoded images are kept."""

    model: Literal["cyclegan", "pix2pix", "pix2pixhd", "unit"] = "cyclegan"
    """What to train. pix2pix and pix2pixhd need pairs."""
    initial_model: _derived(Path, "new networks", "MODEL") = None
    """Networks to begin with, in the place of new ones: a run folder, a .keras file (as `tf-cyclegan convert` makes of
    PyTorch's weights), a generator's weights, a folder of weights, or emoji, the bundled ones, whose discriminators are
    new. It says what networks they are; optimizers begin anew."""
    direction: _derived(Literal["ab", "ba"], "ab") = None
    """pix2pix, pix2pixhd: the direction that is learned."""
    variant: _derived(Literal["v1.1", "paper"], "v1.1") = None
    """unit: the authors' released version 1.1, or the paper's, which shares layers between the domains."""
    label_classes: _derived(int, "0, A is color", "INT") = None
    """pix2pixhd: classes of the label maps in A, whose pixels are the numbers of classes."""
    ignore_label: _derived(int, "none", "INT") = None
    """pix2pixhd: number of the pixels that are of no class, as 255; other numbers beyond the classes are refused."""
    instance_edges: _derived(bool, "no", "{True,False}") = None
    """pix2pixhd: take instance maps as well, and show the generator where one instance ends and another begins."""
    instance_features: _derived(int, "0", "INT") = None
    """pix2pixhd: numbers with which an encoder describes the look of each instance; 3 is the paper's."""
    feature_clusters: _derived(int, "10", "INT") = None
    """pix2pixhd: looks that each class is offered afterwards."""
    generator_type: _derived(Literal["resnet", "unet"], "resnet; unet for pix2pix and for cyclegan on emoji") = None
    """cyclegan, pix2pix: the generator."""
    filters: _derived(int, "64; for emoji fewer", "INT") = None
    """Filters of the generator's first convolution."""
    downsamplings: _derived(int, "2 for resnet, 4 for pix2pixhd; for unet as many as fit, at most 8", "INT") = None
    """cyclegan, pix2pix, pix2pixhd: how often the generator halves the image (sides: multiples of 2^N)."""
    full_size_skip: _derived(bool, "no; yes for cyclegan on emoji", "{True,False}") = None
    """cyclegan, pix2pix: a bridge at full size in the U-Net, which keeps the fine lines of small images."""
    residual_blocks: _derived(int, "6 below 256 pixels, else 9; for unit 4", "INT") = None
    """Residual blocks of the generator."""
    enhancers: _derived(int, "0", "INT") = None
    """pix2pixhd: local enhancers around the global generator, each of which doubles the size."""
    local_residual_blocks: _derived(int, "3", "INT") = None
    """pix2pixhd: residual blocks of each enhancer."""
    stage_epochs: _derived(tuple[int, int], "0 0", "GLOBAL FIXED") = None
    """pix2pixhd: epochs of the global generator alone, then of the enhancers alone; the rest trains both together."""
    normalization: _derived(_Normalization, "instance; batch for pix2pix") = None
    """Normalization of all networks; affine_instance has scales and offsets, as in tensorflow_addons."""
    inference_statistics: _derived(Literal["image", "moving"], "image") = None
    """pix2pix: what batch normalization takes when images are translated: their own statistics or those of training."""
    dropout: _derived(float, "0; 0.5 for pix2pix", "FLOAT") = None
    """Share of activations dropped in the generator."""
    dropout_placement: _derived(Literal["reference", "paper"], "reference") = None
    """pix2pix: in which steps of the U-Net's decoder."""
    padding: _derived(Literal["reflect", "replicate", "zero"], "reflect") = None
    """Padding of the residual blocks."""
    upsampling: _derived(Literal["deconvolution", "resize"], "deconvolution; resize for cyclegan on emoji") = None
    """deconvolution is the paper's; resize leaves no grid pattern."""
    initializer: _derived(Literal["normal", "xavier", "kaiming", "orthogonal"], "normal") = None
    """How convolutions begin."""
    convolution_padding: _derived(Literal["explicit", "same"], "explicit") = None
    """cyclegan: padding of strided convolutions, explicit as in PyTorch or same as in TensorFlow."""
    discriminator_type: _derived(Literal["patch", "pixel", "four_stride"], "patch") = None
    """patch is the 70x70 PatchGAN."""
    discriminator_filters: _derived(int, "32 for emoji, 48 for cyclegan on it, else 64", "INT") = None
    """Filters of the discriminator's first convolution."""
    discriminator_layers: _derived(int, "3; 2 for cyclegan on emoji", "INT") = None
    """Strided convolutions of the discriminator."""
    scales: _derived(int, "2 for pix2pixhd, 3 for unit", "INT") = None
    """pix2pixhd, unit: sizes at which images are judged."""
    gan_mode: _derived(Literal["lsgan", "vanilla", "hinge", "wgangp"], "lsgan; vanilla for pix2pix") = None
    """The adversarial loss."""
    lambda_cycle: _derived(tuple[float, ...], "10; 100 for the variant paper", "FLOAT [FLOAT]") = None
    """cyclegan, unit: weight of the cycle loss; for cyclegan also two: forward and backward."""
    lambda_identity: _derived(float, "0.5; 0 if the domains differ in channels", "FLOAT") = None
    """cyclegan: weight of the identity loss, relative to --lambda-cycle."""
    lambda_l1: _derived(float, "100", "FLOAT") = None
    """pix2pix: weight of the difference from the right answer."""
    lambda_feature_matching: _derived(float, "10", "FLOAT") = None
    """pix2pixhd: weight of the difference between the discriminators' features."""
    lambda_perceptual: _derived(float, "10", "FLOAT") = None
    """pix2pixhd: weight of the difference between VGG19's features."""
    perceptual_weights: _derived(str, "imagenet", "FILE") = None
    """pix2pixhd: weights of VGG19, imagenet for Keras's download."""
    lambda_reconstruction: _derived(float, "10; 100 for the variant paper", "FLOAT") = None
    """unit: weight of the difference between an image and what its own decoder makes of its code."""
    lambda_kl: _derived(float, "0.01; 0.1 for the variant paper", "FLOAT") = None
    """unit: weight of the codes' distance from a normal distribution."""
    lambda_cycle_kl: _derived(float, "that of --lambda-kl", "FLOAT") = None
    """unit: the same of the codes of translated images."""
    lambda_adversarial: _derived(float, "1; 10 for the variant paper", "FLOAT") = None
    """Weight of the adversarial loss."""
    lambda_gradient_penalty: _derived(float, "10", "FLOAT") = None
    """Weight of the gradient penalty of --gan-mode=wgangp."""
    pool_size: _derived(int, "50 for cyclegan, else 0", "INT") = None
    """Generated images in each discriminator's history; 0 for none, as with --resize-mode=none and scale_width, which
    leave images of differing sizes."""
    augment: _derived(str, "none; all for cyclegan on emoji", "NAMES") = None
    """How real and generated images are altered before discriminators judge them: names from color, translation and
    cutout with commas in between. For data sets of a few hundred images."""
    augment_fill: _derived(float, "0, gray; 1 for cyclegan on emoji", "FLOAT") = None
    """What translation fills uncovered borders with, from -1, black, to 1, the white of drawings."""

    epochs: _derived(int, "100; for emoji few", "INT") = None
    """Epochs at the full learning rate."""
    decay_epochs: _derived(int, "100; for emoji few", "INT") = None
    """Epochs after them, in which the rate falls."""
    steps: _derived(int, "none", "INT") = None
    """End the run after this many steps, whatever the epochs."""
    minutes: _derived(float, "10 for cyclegan on emoji without --epochs and --steps, else none", "FLOAT") = None
    """How long the training may take: its first steps are measured, and the number of steps is then fixed. --epochs and
    --decay-epochs say the proportion of both parts alone."""
    batch_size: _derived(int, "1; 4 for most models on emoji", "INT") = None
    """Images of each domain in a step."""
    learning_rate: _derived(float, "2e-4, 1e-4 for unit; 4e-4 for most models on emoji", "FLOAT") = None
    """Adam's learning rate."""
    schedule: _derived(Literal["linear", "step", "cosine", "constant"], "linear; step for unit") = None
    """linear: constant for --epochs, then down over --decay-epochs. step: times --decay-rate every --decay-epochs."""
    decay_rate: _derived(float, "0.1; 0.5 for unit", "FLOAT") = None
    """Factor of --schedule=step."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 on TPUs, on GPUs since Ampere, and on CPUs with AMX or AVX-512 BF16 where a measurement of a few
    seconds finds it faster, else float32. A run that goes on keeps its own."""
    jit_compile: bool = False
    """Compile with XLA; slower on CPUs."""
    strategy: Literal["none", "mirrored", "multi_worker", "tpu"] = "none"
    """Who shares each batch: none, one device; mirrored, all GPUs of this machine; multi_worker, those of all machines
    that TF_CONFIG names, on each of which this command is started; tpu, the TPU of this machine or of TPU_NAME."""
    seed: int = 0
    """Of initialization, order, augmentation and pools."""

    output_dir: _derived(Path, "runs/DATASET", "FOLDER") = None
    """Run folder."""
    resume: bool = True
    """Go on from the newest checkpoint in the run folder; --no-resume moves an earlier run aside and begins anew."""
    keep_checkpoints: int = 3
    """Newest checkpoints that are kept."""
    checkpoint_steps: int = 500
    """Steps from one checkpoint to the next within an epoch."""
    samples: int = 6
    """Images of each domain in the sample grid."""
    evaluate_every: _derived(int, "5 where the right answers are known: emoji, pairs; else 0", "EPOCHS") = None
    """Epochs from one evaluation on the test split to the next, and at the end of the run; the best checkpoint is kept
    as checkpoints/best.keras. 0 for none. Where the answers are known it takes about a hundredth of the time."""
    evaluate_count: int = 50
    """Images of each domain that are evaluated, at most."""
    evaluate_features: _derived(str, "inception if --best-by needs it, else none", "inception|FILE") = None
    """Network of the distances (FID and KID with inception), as --features of evaluate; costly without a GPU."""
    best_by: _derived(str, "kid with features, else l1", "SCORE") = None
    """Score that chooses the best checkpoint: fid, kid, l1, psnr, ssim, cycle, ...; l1_ab is that of one direction."""
    dry_run: bool = False
    """Print the recipe, the learning rates, parameters, multiply-adds and memory, and end. Needs no data."""

    def resolved(self):
        """The same settings with the defaults of the data set filled in.

        Returns:
            `TrainConfig` without None where a default depends on others.

        Raises:
            ValueError: if a setting is out of its range, or only one of `data_a` and `data_b` is given.
        """
        if (self.data_a is None) != (self.data_b is None):
            raise ValueError("`data_a` and `data_b` must be given together: --data-a=FOLDER --data-b=FOLDER")
        self._check_model_settings()
        if self.dataset is None:
            dataset = DATASETS[self.model] if self.data_a is None else ""
            return dataclasses.replace(self, dataset=dataset).resolved()
        image_size = self.image_size or recipe(self.model, self.is_emoji, small=False)["image_size"]
        small = max(parse_size(image_size, "image_size")) < 256
        values = recipe(self.model, self.is_emoji, small, self.generator_type)
        channels = self.channels or (1 + self.instance_maps if self.label_classes else 3)
        channels_b = self.channels_b or (3 if self.label_classes else channels)
        values |= {"output_dir": Path("runs", self._run_name()), "channels": channels, "channels_b": channels_b}
        values["value_range_b"] = self.value_range
        if self.enhancers and not self.is_emoji:
            values["filters"] = 32  # of the enhancer; the global generator inside has twice as many
        if self._has_own_length():
            values.pop("minutes", None)
        if not self.fixed_size:
            values["pool_size"] = 0
        if "lambda_identity" in values and channels != channels_b:
            values["lambda_identity"] = 0.0
        chosen = {name: value for name, value in values.items() if getattr(self, name) is None}
        resolved = dataclasses.replace(self, **chosen)
        resolved._check()
        return resolved

    def _has_own_length(self):
        """Whether it is told how long a run is, or it cannot be a number of minutes."""
        lengths = (self.epochs, self.decay_epochs, self.steps)
        return any(length is not None for length in lengths) or self.strategy == "multi_worker"

    def _check_model_settings(self):
        for name in unused_settings(self.model):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"`{name}` has no use with `model` {self.model}. Received: {name}={getattr(self, name)}"
                )

    def _check(self):
        """What the model and the data do not check themselves."""
        for name in ("samples", "keep_checkpoints", "checkpoint_steps", "batch_size", "channels", "channels_b"):
            check_integer(name, getattr(self, name), 1)
        for name in ("epochs", "decay_epochs"):
            check_integer(name, getattr(self, name), 0)
        check_integer("evaluate_every", self.evaluate_every or 0, 0)
        check_integer("evaluate_count", self.evaluate_count, 2)
        if self.epochs + self.decay_epochs < 1:
            raise ValueError("`epochs` and `decay_epochs` must not both be 0: a run has an epoch")
        if self.label_classes and self.channels != 1 + self.instance_maps:
            raise ValueError(
                f"`channels` must be {1 + self.instance_maps} with these label maps, or left out. "
                f"Received: channels={self.channels}"
            )
        if self.stage_epochs and sum(self.stage_epochs) >= self.epochs + self.decay_epochs:
            raise ValueError(
                "`stage_epochs` must leave epochs of `epochs` and `decay_epochs` in which both parts are trained. "
                f"Received: stage_epochs={self.stage_epochs} of {self.epochs + self.decay_epochs}"
            )
        if self.pool_size and not self.fixed_size:
            raise ValueError(
                f"`pool_size` must be 0 or left out with `resize_mode` {self.resize_mode}, which leaves images of "
                f"differing sizes: a pool holds those of one. Received: pool_size={self.pool_size}"
            )
        if self.schedule == "step" and self.decay_epochs < 1:
            raise ValueError("`decay_epochs` must be at least 1 with `schedule` step. Received: decay_epochs=0")
        check_range("value_range", self.value_range)
        check_range("value_range_b", self.value_range_b)
        if self.steps is not None:
            check_integer("steps", self.steps, 1)
        if self.minutes is not None:
            self._check_minutes()
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be above 0. Received: learning_rate={self.learning_rate}")
        check_share("test_share", self.test_share)
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"`seed` must be from 0 to {2**32 - 1}. Received: seed={self.seed}")
        if self.load_size is not None:
            parse_size(self.load_size, "load_size")

    def _check_minutes(self):
        if not 0 < self.minutes < math.inf:
            raise ValueError(f"`minutes` must be above 0. Received: minutes={self.minutes:g}")
        refused = {
            "steps": self.steps is not None and "a run ends by one of them",
            "stage_epochs": any(self.stage_epochs or ()) and "how many epochs there are is not known when stages begin",
            "strategy": self.strategy == "multi_worker" and "machines that measure apart would not agree",
        }
        for name, reason in refused.items():
            if reason:
                received = getattr(self, name)
                raise ValueError(f"`minutes` must be left out with `{name}`: {reason}. Received: {name}={received}")

    @property
    def fixed_size(self):
        """Whether every training image comes to `image_size`: not where whole images are kept."""
        return self.resize_mode not in ("scale_width", "none")

    @property
    def instance_maps(self):
        """Whether the data must have instance maps beside the label maps."""
        return bool(self.instance_edges or self.instance_features)

    @property
    def is_emoji(self):
        return self.dataset.split("/")[0] == "emoji" and self.data_a is None

    def _run_name(self):
        if self.data_a is not None:
            name = f"{Path(self.data_a).name}-{Path(self.data_b).name}"
        elif Path(self.dataset).is_dir():
            name = Path(self.dataset).resolve().name
        else:
            name = self.dataset.replace("cycle_gan/", "").replace("/", "-")
        return name if self.model == "cyclegan" else f"{name}-{self.model}"

    def to_dict(self):
        """The settings as what JSON knows."""
        return json.loads(json.dumps(dataclasses.asdict(self), default=str))


def parse_size(text, name):
    """Pixels from `"256"` or `"HEIGHTxWIDTH"`.

    Returns:
        `(height, width)`.

    Raises:
        ValueError: if `text` is neither; it names the setting `name`.
    """
    try:
        sides = [int(side) for side in str(text).lower().split("x")]
        height, width = sides * 2 if len(sides) == 1 else sides
    except ValueError:
        height = width = 0
    if min(height, width) < 1:
        raise ValueError(f"`{name}` must be a number of pixels or HEIGHTxWIDTH, as 256 or 192x256. Received: {text!r}")
    return height, width
