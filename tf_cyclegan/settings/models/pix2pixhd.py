"""The settings of pix2pixHD."""

from tf_cyclegan.settings.data import Labels
from tf_cyclegan.settings.fields import SHAPE, USE, derived, otherwise, settings
from tf_cyclegan.settings.models.shared import DirectedSettings, MultiScaleSettings, SampledSettings
from tf_cyclegan.settings.run import refuse_minutes


@settings
class Pix2PixHDSettings(DirectedSettings, MultiScaleSettings, SampledSettings):
    """pix2pixhd: learns one direction from pairs, for example of label maps and photographs, at high resolution."""

    dataset = "emoji/lines"
    run = {"image_size": "512"}
    emoji_run = {"epochs": 6, "decay_epochs": 14}

    label_classes: int = derived(0, shown="0, A is color", networks=SHAPE)
    """Number of classes of the label maps in A, whose pixels are the ids of classes; 0 if A holds images."""
    ignore_label: int = derived(networks=USE, shown="none")
    """Id of pixels without a class, for example 255; at least --label-classes. Other ids beyond the classes are an
    error."""
    instance_edges: bool = derived(False, networks=SHAPE)
    """Whether A also holds instance maps, so that the networks see the edges between instances."""
    instance_features: int = derived(0, networks=SHAPE)
    """Features of each instance's look from an encoder: the paper has 3; 0 is for no encoder."""
    feature_clusters: int = derived(10)
    """Largest number of looks of each class that are kept at the end of training."""
    enhancers: int = derived(0, networks=SHAPE)
    """Local enhancers around the global generator; each doubles the size of the images."""
    local_residual_blocks: int = derived(3, networks=SHAPE)
    """Residual blocks of each enhancer."""
    stage_epochs: tuple[int, int] = derived((0, 0), metavar="GLOBAL FIXED")
    """Epochs that train the global generator alone, on images that each enhancer halves, and epochs that train the
    enhancers alone; the other epochs train both together."""
    lambda_feature_matching: float = derived(10.0)
    """Weight of the difference between the discriminators' features of real and generated images."""
    lambda_perceptual: float = derived(10.0)
    """Weight of the difference between VGG19's features of real and generated images."""
    perceptual_weights: str = derived("imagenet", metavar="FILE")
    """File with weights of VGG19, or imagenet, which Keras downloads. If the download fails, training goes on without
    this loss, with a warning."""

    filters = otherwise(emoji=24, shown="64; 32 with enhancers")
    """Filters of the first convolution of the global generator, or of the finest enhancer, 32 in the paper."""
    downsamplings = otherwise(default=4, emoji=3)
    """How often the global generator halves the image. Sides of images are multiples of 2^N, or with enhancers of
    2^(N + --enhancers)."""
    residual_blocks = otherwise(emoji=4)
    """Residual blocks of the global generator."""
    discriminator_layers = otherwise()
    """Strided convolutions of the discriminator at each scale."""
    gan_mode = otherwise()
    """The adversarial loss, any but wgangp: lsgan is least squares, vanilla is cross entropy."""
    augment_fill = otherwise()
    """Value in [-1, 1] of the borders that the augmentation translation uncovers: -1 is black, 0 is the paper's gray, 1
    is the white of drawings. Label maps keep their ids, and their uncovered borders have no class."""
    pool_size = otherwise()
    """Pairs of input and output in the discriminator's history of generated images, 0 for none; images of different
    sizes need 0."""

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
