"""A model of one pretrained generator, which translates and cannot be trained."""

import keras

from tf_cyclegan.models.any_size import smallest_side
from tf_cyclegan.models.roles import OneWay
from tf_cyclegan.settings.checks import check_choice, check_integer


@keras.saving.register_keras_serializable(package="tf_cyclegan")
class PretrainedGenerator(OneWay):
    """A generator without discriminators: it can translate, and be exported, served and evaluated.

    To train it further, give it to a model: `CycleGAN(generator_ab=pretrained.generator("ab"))`.

    Args:
        generator_network: `keras.Model`, images `(batch, height, width, channels)` to images of the same size, in
            [-1, 1].
        direction: `"ab"` or `"ba"`, the one that it translates in. Defaults to `"ab"`.
        size_multiple: int, what heights and widths must be multiples of. Defaults to 4.
        name: optional name.
        dtype: dtype or policy. Defaults to the policy of the network.

    Raises:
        ValueError: if an argument is out of its range; from `compile`, always.

    Example:
        >>> model = PretrainedGenerator(resnet_generator(filters=4))
        >>> model.translate(np.zeros((1, 30, 34, 3))).shape
        TensorShape([1, 30, 34, 3])
    """

    network_arguments = ("generator_network",)
    discriminators = ()
    loss_names = ()

    def __init__(self, generator_network, direction="ab", size_multiple=4, name=None, dtype=None):
        super().__init__(name, dtype or generator_network.dtype_policy, {"generator_network": generator_network})
        check_choice("direction", direction, ("ab", "ba"))
        check_integer("size_multiple", size_multiple, 1)
        self.generator_network = generator_network
        self.direction = direction
        self.size_multiple = size_multiple
        self.build()

    @classmethod
    def settings_of(cls, found):
        """One generator, and no matter which other networks, makes a `PretrainedGenerator`."""
        if found.generator is None:
            return None
        settings = found.generator.architecture.settings
        halvings = settings.get("downsamplings", 2) + settings.get("enhancers", 0)
        network = found.generator.architecture.build(name=f"generator_{found.way}")
        return {"generator_network": network, "direction": found.way, "size_multiple": 2**halvings}

    def networks_by_role(self):
        return {"generator": self.generator_network}

    @property
    def channels(self):
        network = self.generator_network
        return dict(zip(self.direction, (network.input_shape[-1], network.output_shape[-1]), strict=True))

    @property
    def smallest_side(self):
        """As for the multiple, and for a ResNet that halves its images twice and mirrors the border of that map."""
        return max(smallest_side(4, map_side=2), smallest_side(self.size_multiple))

    def compile(self, *args, **kwargs):
        raise ValueError(
            "`PretrainedGenerator` cannot be trained: it has no discriminator. Give its network to a model, as "
            f"CycleGAN(generator_{self.direction}=model.generator({self.direction!r}))"
        )
