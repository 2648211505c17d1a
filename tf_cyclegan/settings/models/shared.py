"""Settings that several models have."""

from typing import ClassVar, Literal

from tf_cyclegan.settings.data import Labels
from tf_cyclegan.settings.fields import SHAPE, USE, derived, facts_of, flat, settings


@settings
class ModelSettings:
    """What every model has: generators, and discriminators that judge them.

    Attributes:
        dataset: str, what is bundled for the model: one of pairs needs pairs.
        run, emoji_run: dicts, settings of its runs that are otherwise than `DataSettings` and `RunSettings` say; on the
            bundled data.
    """

    dataset: ClassVar[str] = "emoji"
    run: ClassVar[dict] = {}
    emoji_run: ClassVar[dict] = {}

    filters: int = derived(64, networks=SHAPE)
    """Filters of the generator's first convolution."""
    residual_blocks: int = derived(9, networks=SHAPE)
    """Residual blocks of the generator."""
    initializer: Literal["normal", "xavier", "kaiming", "orthogonal"] = derived("normal")
    """How convolutions begin."""
    discriminator_filters: int = derived(64, emoji=32, networks=SHAPE)
    """Filters of the discriminator's first convolution."""
    discriminator_layers: int = derived(3, networks=SHAPE)
    """Strided convolutions of the discriminator."""
    gan_mode: Literal["lsgan", "vanilla", "hinge", "wgangp"] = derived("lsgan")
    """The adversarial loss."""
    lambda_adversarial: float = derived(1.0)
    """Weight of the adversarial loss."""
    pool_size: int = derived(0)
    """Generated images in each discriminator's history; 0 for none, as with --resize-mode=none and scale_width, which
    leave images of differing sizes."""
    augment: str = derived("", metavar="NAMES")
    """How real and generated images are altered before discriminators judge them: names from color, translation and
    cutout with commas in between. For data sets of a few hundred images."""
    augment_fill: float = derived(0.0, shown="0, gray")
    """What translation fills uncovered borders with, from -1, black, to 1, the white of drawings."""

    @property
    def labels(self):
        """The `Labels` that A must hold for it."""
        return Labels()

    def defaults(self, situation):
        """What its settings are where nobody gives them.

        Args:
            situation: `Situation`.

        Returns:
            dict.
        """
        values = {name: facts.value(situation.emoji, situation.small) for name, facts in facts_of(self).items()}
        return values if situation.fixed_size else values | {"pool_size": 0}

    def check(self, data, schedule):
        """Raises `ValueError` for what the model does not check itself: settings that do not go with others.

        Args:
            data: resolved `DataSettings`.
            schedule: resolved `ScheduleSettings`.
        """
        if self.pool_size and not data.fixed_size:
            raise ValueError(
                f"`pool_size` must be 0 or left out with `resize_mode` {data.resize_mode}, which leaves images of "
                f"differing sizes: a pool holds those of one. Received: pool_size={self.pool_size}"
            )

    def arguments(self):
        """What the model's constructor takes: dict."""
        return flat(self)


@settings
class SampledSettings(ModelSettings):
    """Of generators that halve an image and enlarge it again."""

    downsamplings: int = derived(shown="2 for resnet; for unet as many as fit, at most 8", networks=SHAPE)
    """How often the generator halves the image (sides: multiples of 2^N)."""
    normalization: Literal["instance", "affine_instance", "batch", "none"] = derived("instance", networks=SHAPE)
    """Normalization of all networks; affine_instance has scales and offsets, as in tensorflow_addons."""


@settings
class ChosenSettings(SampledSettings):
    """Of models whose generator is a ResNet or a U-Net, as one chooses."""

    generator_type: Literal["resnet", "unet"] = derived("resnet", networks=SHAPE)
    """The generator."""
    full_size_skip: bool = derived(False, networks=SHAPE)
    """A bridge at full size in the U-Net, which keeps the fine lines of small images."""
    dropout: float = derived(0.0, networks=USE)
    """Share of activations dropped in the generator."""
    padding: Literal["reflect", "replicate", "zero"] = derived("reflect", networks=USE)
    """Padding of the residual blocks."""
    upsampling: Literal["deconvolution", "resize"] = derived("deconvolution", networks=SHAPE)
    """deconvolution is the paper's; resize leaves no grid pattern."""
    discriminator_type: Literal["patch", "pixel", "four_stride"] = derived("patch", networks=SHAPE)
    """patch is the 70x70 PatchGAN."""
    lambda_gradient_penalty: float = derived(10.0)
    """Weight of the gradient penalty of --gan-mode=wgangp."""


@settings
class DirectedSettings:
    """Of models that learn one direction."""

    direction: Literal["ab", "ba"] = derived("ab", networks=USE)
    """The direction that is learned."""


@settings
class MultiScaleSettings:
    """Of models whose discriminators judge an image at several sizes."""

    scales: int = derived(2, networks=SHAPE)
    """Sizes at which images are judged."""


@settings
class CycleSettings:
    """Of models that translate there and back."""

    lambda_cycle: tuple[float, ...] = derived(metavar="FLOAT [FLOAT]")
    """Weight of the cycle loss; for cyclegan also two: forward and backward."""

    def arguments(self):
        weights = self.lambda_cycle
        if weights is not None and len(weights) not in (1, 2):
            raise ValueError(f"`lambda_cycle` must be one weight or two. Received: lambda_cycle={weights}")
        return super().arguments() | {"lambda_cycle": weights[0] if weights and len(weights) == 1 else weights}
