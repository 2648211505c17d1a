"""Settings that several models have."""

from typing import ClassVar, Literal

from tf_cyclegan.settings.data import Labels
from tf_cyclegan.settings.fields import SHAPE, USE, derived, facts_of, flat, otherwise, settings


@settings
class ModelSettings:
    """Settings of all models.

    Attributes:
        dataset: str, the bundled data set for the model: a model of pairs needs pairs.
        run: dict of the defaults of data and runs that differ from `DataSettings` and `RunSettings`.
        emoji_run: dict of the defaults that differ for runs on the bundled data.
    """

    dataset: ClassVar[str] = "emoji"
    run: ClassVar[dict] = {}
    emoji_run: ClassVar[dict] = {}

    filters: int = derived(64, networks=SHAPE)
    """Filters of the generator's first convolution."""
    residual_blocks: int = derived(9, networks=SHAPE)
    """Residual blocks of the generator."""
    initializer: Literal["normal", "xavier", "kaiming", "orthogonal"] = derived("normal")
    """Distribution of the initial weights of all networks: normal is N(0, 0.02), xavier and orthogonal have a gain of
    0.02, kaiming depends on the number of inputs."""
    discriminator_filters: int = derived(64, emoji=32, networks=SHAPE)
    """Filters of a discriminator's first convolution."""
    discriminator_layers: int = derived(3, networks=SHAPE)
    """Strided convolutions of a discriminator."""
    gan_mode: Literal["lsgan", "vanilla", "hinge", "wgangp"] = derived("lsgan")
    """The adversarial loss: lsgan is least squares, vanilla is cross entropy."""
    lambda_adversarial: float = derived(1.0)
    """Weight of the adversarial loss. If it is 0, discriminators train only if another loss needs them."""
    pool_size: int = derived(0)
    """Size of each discriminator's history of generated images, 0 for none; images of different sizes need 0."""
    augment: str = derived("", metavar="NAMES")
    """Augmentations of the real and generated images that discriminators see in training, for data sets of a few
    hundred
    images: names from color, translation and cutout, separated by commas; in Python also a tuple."""
    augment_fill: float = derived(0.0)
    """Value in [-1, 1] of the borders that the augmentation translation uncovers: -1 is black, 0 is the paper's gray, 1
    is the white of drawings."""

    @property
    def labels(self):
        """The `Labels` of the label maps in domain A."""
        return Labels()

    def defaults(self, situation):
        """The values of the settings that are not given.

        Args:
            situation: `Situation`.

        Returns:
            Dict of the names of settings to values.
        """
        values = {name: facts.value(situation.emoji, situation.small) for name, facts in facts_of(self).items()}
        return values if situation.fixed_size else values | {"pool_size": 0}

    def check(self, data, schedule):
        """Raises `ValueError` if a setting of the model does not fit the data or the run; the model checks the rest.

        Args:
            data: resolved `DataSettings`.
            schedule: resolved `ScheduleSettings`.
        """
        if self.pool_size and not data.fixed_size:
            raise ValueError(
                f"`pool_size` must be 0 or left out with `resize_mode` {data.resize_mode}, which leaves images of "
                f"different sizes: a pool holds images of one size. Received: pool_size={self.pool_size}"
            )

    def arguments(self):
        """Dict of the names of the constructor's arguments to their values."""
        return flat(self)


@settings
class SampledSettings(ModelSettings):
    """Settings of models whose generators halve an image and enlarge it again."""

    downsamplings: int = derived(networks=SHAPE)
    """How often the generator halves the image. Sides of images are multiples of 2^N."""
    normalization: Literal["instance", "affine_instance", "batch", "none"] = derived("instance", networks=SHAPE)
    """Normalization of all networks; affine_instance learns scales and offsets, as tensorflow_addons does."""


@settings
class ChosenSettings(SampledSettings):
    """Settings of models whose generator is a ResNet or a U-Net."""

    generator_type: Literal["resnet", "unet"] = derived("resnet", networks=SHAPE)
    """Architecture of the generators: resnet as in CycleGAN, or unet as in pix2pix, whose skip connections keep fine
    lines."""
    full_size_skip: bool = derived(False, networks=SHAPE)
    """Whether a U-Net also has a skip connection at full size, which keeps the fine lines of small images."""
    dropout: float = derived(0.0, networks=USE)
    """Dropout rate of the generators in training, in [0, 1)."""
    padding: Literal["reflect", "replicate", "zero"] = derived("reflect", networks=USE)
    """Padding of a ResNet's residual blocks."""
    upsampling: Literal["deconvolution", "resize"] = derived("deconvolution", networks=SHAPE)
    """How generators enlarge images: deconvolution as in the paper, or resize, which makes no grid pattern."""
    discriminator_type: Literal["patch", "pixel", "four_stride"] = derived("patch", networks=SHAPE)
    """Architecture of the discriminators. patch: the paper's, which judges patches of 70x70 pixels with 3
    --discriminator-layers. pixel: judges each pixel alone. four_stride: judges patches of 94x94 pixels."""
    lambda_gradient_penalty: float = derived(10.0)
    """Weight of the gradient penalty of --gan-mode=wgangp."""

    residual_blocks = otherwise()
    """Residual blocks of a ResNet; a U-Net has none."""
    downsamplings = otherwise(shown="2 for resnet; for unet as many as fit, at most 8")
    discriminator_layers = otherwise()
    """Strided convolutions of the patch discriminator."""


@settings
class DirectedSettings:
    """The settings of models that learn one direction."""

    direction: Literal["ab", "ba"] = derived("ab", networks=USE)
    """Direction that the model learns: ab translates A to B."""


@settings
class MultiScaleSettings:
    """Settings of models whose discriminators judge an image at several sizes."""

    scales: int = derived(2, networks=SHAPE)
    """Number of sizes at which a discriminator judges an image; each size is half of the one before."""


@settings
class CycleSettings:
    """Settings of models that translate an image there and back."""

    lambda_cycle: tuple[float, ...] = derived(metavar="FLOAT [FLOAT]")
    """Weight of the cycle loss."""

    def arguments(self):
        weights = self.lambda_cycle
        if weights is not None and len(weights) not in (1, 2):
            raise ValueError(f"`lambda_cycle` must be one weight or two. Received: lambda_cycle={weights}")
        return super().arguments() | {"lambda_cycle": weights[0] if weights and len(weights) == 1 else weights}
