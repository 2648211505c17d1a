"""The settings of pix2pixHD."""

from tf_cyclegan.settings.data import Labels
from tf_cyclegan.settings.fields import SHAPE, USE, derived, otherwise, settings
from tf_cyclegan.settings.models.shared import DirectedSettings, MultiScaleSettings, SampledSettings
from tf_cyclegan.settings.run import refuse_minutes


@settings
class Pix2PixHDSettings(DirectedSettings, MultiScaleSettings, SampledSettings):
    """pix2pixhd: pairs of images, or label maps and photographs; a coarse-to-fine generator one way."""

    dataset = "emoji/lines"
    run = {"image_size": "512"}
    emoji_run = {"epochs": 6, "decay_epochs": 14}

    label_classes: int = derived(0, shown="0, A is color", networks=SHAPE)
    """Classes of the label maps in A, whose pixels are the ids of classes; 0 where A holds images."""
    ignore_label: int = derived(networks=USE, shown="none")
    """Id of the pixels that are of no class, as 255, at least --label-classes; other ids beyond the classes are
    refused."""
    instance_edges: bool = derived(False, networks=SHAPE)
    """Whether A holds instance maps as well, and the networks are shown where one instance ends and another begins."""
    instance_features: int = derived(0, networks=SHAPE)
    """Numbers with which an encoder describes the look of each instance; 3 is the paper's, 0 leaves the encoder out."""
    feature_clusters: int = derived(10)
    """Looks of each class that are kept when training ends, at most."""
    enhancers: int = derived(0, networks=SHAPE)
    """Local enhancers around the global generator, each of which doubles the size of images."""
    local_residual_blocks: int = derived(3, networks=SHAPE)
    """Residual blocks of each enhancer."""
    stage_epochs: tuple[int, int] = derived((0, 0), metavar="GLOBAL FIXED")
    """Epochs that train the global generator alone, on images of half the size for each enhancer, and epochs that train
    the enhancers alone; the rest trains both together."""
    lambda_feature_matching: float = derived(10.0)
    """Weight of the difference between the discriminators' features of real and generated images."""
    lambda_perceptual: float = derived(10.0)
    """Weight of the difference between VGG19's features of real and generated images."""
    perceptual_weights: str = derived("imagenet", metavar="FILE")
    """File with weights of VGG19, or imagenet for Keras's download. Without the download a warning is logged, and
    training goes on without this loss."""

    filters = otherwise(emoji=24, shown="64; 32 with enhancers")
    """Filters of the first convolution of the global generator, or of the finest enhancer, where the paper takes 32."""
    downsamplings = otherwise(default=4, emoji=3)
    """How often the global generator halves the image, whose sides are multiples of 2^N, with enhancers of 2^(N +
    --enhancers)."""
    residual_blocks = otherwise(emoji=4)
    """Residual blocks of the global generator."""
    discriminator_layers = otherwise()
    """Strided convolutions of a discriminator at each scale."""
    gan_mode = otherwise()
    """The adversarial loss, any but wgangp: lsgan is least squares, vanilla is cross entropy."""
    augment_fill = otherwise()
    """What translation fills uncovered borders of images with, in [-1, 1]: -1 is black, 0 the paper's gray, 1 the white
    of drawings. Label maps are not recolored, and their uncovered borders are of no class."""
    pool_size = otherwise()
    """Pairs of question and answer in the discriminator's history, 0 for none; images of differing sizes need 0."""

    @property
    def labels(self):
        instances = bool(self.instance_edges or self.instance_features)
        return Labels(self.label_classes or 0, self.ignore_label, instances)

    def defaults(self, situation):
        values = super().defaults(situation)
        if self.enhancers and not situation.emoji:
            values["filters"] = 32  # of the enhancer; the global generator inside has twice as many
        return values

    def check(self, data, schedule):
        super().check(data, schedule)
        of_maps = 1 + self.labels.instances
        if self.label_classes and data.channels != of_maps:
            raise ValueError(
                f"`channels` must be {of_maps} with these label maps, or left out. Received: channels={data.channels}"
            )
        if any(self.stage_epochs) and schedule.minutes is not None:
            refuse_minutes(
                "stage_epochs", self.stage_epochs, "how many epochs there are is not known when stages begin"
            )
        if sum(self.stage_epochs) >= schedule.epochs + schedule.decay_epochs:
            raise ValueError(
                "`stage_epochs` must leave epochs of `epochs` and `decay_epochs` in which both parts are trained. "
                f"Received: stage_epochs={self.stage_epochs} of {schedule.epochs + schedule.decay_epochs}"
            )
