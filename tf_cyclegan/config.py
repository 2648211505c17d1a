"""The settings of a training run, as a dataclass from which the flags are made. Imports no TensorFlow."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tf_cyclegan.checks import check_integer

# Flags of the PyTorch implementation and what they are called here.
PYTORCH_FLAGS = {
    "--batchSize": "--batch-size",
    "--beta1": "nothing: Adam's beta 1 is 0.5; from Python, compile(Adam(beta_1=...))",
    "--direction": "nothing: both directions are trained",
    "--which_direction": "nothing: both directions are trained",
    "--phase": "nothing: training takes the train split",
    "--epoch": "--resume, which takes the newest checkpoint",
    "--load_iter": "--resume, which takes the newest checkpoint",
    "--init_gain": "nothing: it is 0.02",
    "--lr_decay_iters": "--decay-epochs with --schedule=step",
    "--serial_batches": "nothing: the order is random, and the same for the same --seed",
    "--max_dataset_size": "nothing: all images are taken",
    "--print_freq": "nothing: every step is counted",
    "--display_freq": "nothing: every epoch has its sample grid",
    "--save_latest_freq": "--checkpoint-steps",
    "--use_wandb": "nothing: losses and pictures go to TensorBoard and the run folder",
    "--dataroot": "--dataset=FOLDER",
    "--name": "--output-dir=runs/NAME",
    "--checkpoints_dir": "--output-dir",
    "--dataset_mode": "--dataset (unpaired folders are recognized)",
    "--crop_size": "--image-size",
    "--fineSize": "--image-size",
    "--loadSize": "--load-size",
    "--preprocess": "--resize-mode",
    "--input_nc": "--channels",
    "--output_nc": "--channels-b",
    "--ngf": "--filters",
    "--ndf": "--discriminator-filters",
    "--netG": "--residual-blocks=9 (or 6)",
    "--netD": "--discriminator-type",
    "--n_layers_D": "--discriminator-layers",
    "--norm": "--normalization",
    "--no_dropout": "--dropout=0, the default",
    "--init_type": "--initializer",
    "--n_epochs": "--epochs",
    "--niter": "--epochs",
    "--n_epochs_decay": "--decay-epochs",
    "--niter_decay": "--decay-epochs",
    "--lr": "--learning-rate",
    "--lr_policy": "--schedule",
    "--lambda_A": "--lambda-cycle=FORWARD BACKWARD",
    "--lambda_B": "--lambda-cycle=FORWARD BACKWARD",
    "--continue_train": "--resume, the default",
    "--epoch_count": "--resume, which knows the epoch itself",
    "--gpu_ids": "nothing: TensorFlow takes the GPU it finds (CUDA_VISIBLE_DEVICES chooses)",
    "--num_threads": "nothing: the input pipeline sets its own",
    "--display_id": "nothing: losses and pictures go to TensorBoard and the run folder",
    "--no_html": "nothing: losses and pictures go to TensorBoard and the run folder",
    "--save_epoch_freq": "nothing: every epoch is saved; --keep-checkpoints says how many stay",
}
# Its names of models, and what --model calls them.
PYTORCH_MODELS = {
    "cycle_gan": "cyclegan",
}

_PAPER = {
    "image_size": "256",
    "filters": 64,
    "residual_blocks": 9,
    "discriminator_filters": 64,
    "upsampling": "deconvolution",
    "lambda_adversarial": 1.0,
    "lambda_identity": 0.5,
    "batch_size": 1,
    "learning_rate": 2e-4,
    "epochs": 100,
    "decay_epochs": 100,
}
# A run of minutes: few steps of more images at a higher rate, and more weight on keeping shape and color. With the full
# adversarial weight the discriminators, who soon know 600 drawings by heart, drive the generators to speckles.
_EMOJI = {
    "image_size": "64",
    "filters": 24,
    "residual_blocks": 6,
    "discriminator_filters": 32,
    "upsampling": "resize",
    "lambda_adversarial": 0.25,
    "lambda_identity": 1.0,
    "batch_size": 4,
    "learning_rate": 4e-4,
    "epochs": 6,
    "decay_epochs": 18,
}


def _derived(kind, default, metavar=None):
    """A setting that may be None, whose default the help tells in words."""
    return Annotated[kind | None, tyro.conf.arg(help_behavior_hint=f"(default: {default})", metavar=metavar)]


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Trains a model that translates images between two domains."""

    dataset: str = "emoji"
    """emoji, emoji/lines, cycle_gan/NAME (horse2zebra, monet2photo, ...: TensorFlow Datasets downloads it), or a folder
    with trainA, trainB, testA, testB."""
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
    image_size: _derived(str, "64 for emoji, else 256", "PIXELS") = None
    """Size of the images the model is trained on: one side or HEIGHTxWIDTH, multiples of 4."""
    load_size: _derived(str, "286/256 of --image-size; for emoji the same", "PIXELS") = None
    """Size to which images are resized before a random crop."""
    resize_mode: Literal["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"] = "resize_and_crop"
    """How images come to size: crop does not resize, scale_width keeps the ratio."""
    flip: bool = True
    """Mirror images at random."""
    channels: int = 3
    """Channels of domain A: 1 grey, 3 color, any number for .npy."""
    channels_b: _derived(int, "--channels", "INT") = None
    """Channels of domain B."""
    value_range: _derived(tuple[float, float], "that of the integer type") = None
    """Lowest and highest value in .npy and 16-bit files; floats need it."""
    skip_unreadable: bool = False
    """Go on without the files that cannot be read, and list them."""
    cache: Literal["memory", "disk", "none"] = "memory"
    """Where decoded images are kept."""

    model: Literal["cyclegan"] = "cyclegan"
    """What to train."""
    filters: _derived(int, "24 for emoji, else 64", "INT") = None
    """Filters of the generator's first convolution."""
    residual_blocks: _derived(int, "6 for emoji and below 256 pixels, else 9", "INT") = None
    """Residual blocks of the generator."""
    normalization: Literal["instance", "batch", "none"] = "instance"
    """Normalization of all networks."""
    dropout: float = 0.0
    """Share of activations dropped in the residual blocks."""
    padding: Literal["reflect", "replicate", "zero"] = "reflect"
    """Padding of the residual blocks."""
    upsampling: _derived(Literal["deconvolution", "resize"], "resize for emoji, else deconvolution") = None
    """deconvolution is the paper's; resize leaves no grid pattern."""
    initializer: Literal["normal", "xavier", "kaiming", "orthogonal"] = "normal"
    """How convolutions begin."""
    discriminator_type: Literal["patch", "pixel", "four_stride"] = "patch"
    """patch is the 70x70 PatchGAN."""
    discriminator_filters: _derived(int, "32 for emoji, else 64", "INT") = None
    """Filters of the discriminator's first convolution."""
    discriminator_layers: int = 3
    """Strided convolutions of the patch discriminator."""
    gan_mode: Literal["lsgan", "vanilla", "hinge", "wgangp"] = "lsgan"
    """The adversarial loss."""
    lambda_cycle: tuple[float, ...] = (10.0,)
    """Weight of the cycle loss, or two: forward and backward."""
    lambda_identity: _derived(float, "1 for emoji, else 0.5; 0 if the domains differ in channels", "FLOAT") = None
    """Weight of the identity loss, relative to --lambda-cycle."""
    lambda_adversarial: _derived(float, "0.25 for emoji, else 1", "FLOAT") = None
    """Weight of the adversarial loss."""
    lambda_gradient_penalty: float = 10.0
    """Weight of the gradient penalty of --gan-mode=wgangp."""
    pool_size: int = 50
    """Generated images in each discriminator's history; 0 for none."""

    epochs: _derived(int, f"{_EMOJI['epochs']} for emoji, else 100", "INT") = None
    """Epochs at the full learning rate."""
    decay_epochs: _derived(int, f"{_EMOJI['decay_epochs']} for emoji, else 100", "INT") = None
    """Epochs after them, in which the rate falls."""
    steps: _derived(int, "none", "INT") = None
    """End the run after this many steps, whatever the epochs."""
    batch_size: _derived(int, "4 for emoji, else 1", "INT") = None
    """Images of each domain in a step."""
    learning_rate: _derived(float, "4e-4 for emoji, else 2e-4", "FLOAT") = None
    """Adam's learning rate."""
    schedule: Literal["linear", "step", "cosine", "constant"] = "linear"
    """linear: constant for --epochs, then down over --decay-epochs. step: a tenth every --decay-epochs."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 on TPUs, on GPUs since Ampere and on CPUs with AMX, else float32."""
    jit_compile: bool = False
    """Compile with XLA; slower on CPUs."""
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
        recipe = dict(_EMOJI if self.is_emoji else _PAPER)
        if max(parse_size(self.image_size or recipe["image_size"], "image_size")) < 256:
            recipe["residual_blocks"] = 6
        recipe["output_dir"] = Path("runs", self._run_name())
        recipe["channels_b"] = self.channels
        if self.channels_b not in (None, self.channels):
            recipe["lambda_identity"] = 0.0
        chosen = {name: value for name, value in recipe.items() if getattr(self, name) is None}
        resolved = dataclasses.replace(self, **chosen)
        resolved._check()
        return resolved

    def _check(self):
        """What the model and the data do not check themselves."""
        for name in ("samples", "keep_checkpoints", "checkpoint_steps", "batch_size"):
            check_integer(name, getattr(self, name), 1)
        for name in ("epochs", "decay_epochs"):
            check_integer(name, getattr(self, name), 0)
        if self.epochs + self.decay_epochs < 1:
            raise ValueError("`epochs` and `decay_epochs` must not both be 0: a run has an epoch")
        if self.schedule == "step" and self.decay_epochs < 1:
            raise ValueError("`decay_epochs` must be at least 1 with `schedule` step. Received: decay_epochs=0")
        if self.steps is not None:
            check_integer("steps", self.steps, 1)
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be above 0. Received: learning_rate={self.learning_rate}")
        if self.load_size is not None:
            parse_size(self.load_size, "load_size")

    @property
    def fixed_size(self):
        """Whether every training image comes to `image_size`: not where whole images are kept."""
        return self.resize_mode not in ("scale_width", "none")

    @property
    def is_emoji(self):
        return self.dataset.split("/")[0] == "emoji" and self.data_a is None

    def _run_name(self):
        if self.data_a is not None:
            return f"{Path(self.data_a).name}-{Path(self.data_b).name}"
        if Path(self.dataset).is_dir():
            return Path(self.dataset).resolve().name
        return self.dataset.replace("cycle_gan/", "").replace("/", "-")

    def to_dict(self):
        """The settings as what JSON knows."""
        return json.loads(json.dumps(dataclasses.asdict(self), default=str))


def parse_size(text, name, multiple=1):
    """Pixels from `"256"` or `"HEIGHTxWIDTH"`, each side a multiple of `multiple`.

    Returns:
        `(height, width)`.

    Raises:
        ValueError: if `text` is neither, or a side is no multiple; it names the setting `name`.
    """
    try:
        sides = [int(side) for side in str(text).lower().split("x")]
        height, width = sides * 2 if len(sides) == 1 else sides
    except ValueError:
        height = width = 0
    if min(height, width) < 1:
        raise ValueError(f"`{name}` must be a number of pixels or HEIGHTxWIDTH, as 256 or 192x256. Received: {text!r}")
    if height % multiple or width % multiple:
        raise ValueError(f"`{name}` must be multiples of {multiple}. Received: {text!r}")
    return height, width
