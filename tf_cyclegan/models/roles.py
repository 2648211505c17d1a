"""Base classes of models: of both directions, of one direction, and of one direction learned from pairs."""

from tf_cyclegan.models.augmentation import augmented
from tf_cyclegan.models.base import TranslationModel
from tf_cyclegan.models.losses import generator_adversarial_loss


class TwoWay(TranslationModel):
    """A model with `generator_ab`, `generator_ba`, `discriminator_a`, `discriminator_b`, `pool_a` and `pool_b`."""

    independent_parts = 2  # the directions

    def generator(self, direction):
        """The network that translates in `direction`, `"ab"` or `"ba"`."""
        return {"ab": self.generator_ab, "ba": self.generator_ba}[direction]

    @property
    def generators(self):
        return [self.generator_ab, self.generator_ba]

    @property
    def discriminators(self):
        return [self.discriminator_a, self.discriminator_b]

    def networks_by_role(self):
        return super().networks_by_role() | {
            "discriminator_a": self.discriminator_a,
            "discriminator_b": self.discriminator_b,
        }

    def discriminator_inputs(self, outputs):
        return {"fake_a": self.pool_a(outputs["fake_a"]), "fake_b": self.pool_b(outputs["fake_b"])}

    def _adversarial_losses(self, outputs, training):
        """The weighted adversarial losses of both generators."""
        terms = {}
        for domain, direction in (("b", "ab"), ("a", "ba")) if self.lambda_adversarial else ():
            discriminator = getattr(self, f"discriminator_{domain}")
            scores = discriminator(self._shown(outputs[f"fake_{domain}"], training), training=training)
            adversarial = generator_adversarial_loss(scores, self.gan_mode)
            terms[f"adversarial_{direction}"] = self.lambda_adversarial * adversarial
        return terms


class OneWay(TranslationModel):
    """A model of one `direction`, with `generator_network` and `discriminator_network`."""

    @property
    def directions(self):
        return (self.direction,)

    def generator(self, direction):
        """The network that translates in `direction`, the only direction of the model."""
        return {self.direction: self.generator_network}[direction]

    @property
    def generators(self):
        return [self.generator_network]

    @property
    def discriminators(self):
        return [self.discriminator_network]

    def networks_by_role(self):
        return {"generator": self.generator_network, "discriminator": self.discriminator_network}

    @property
    def _target(self):
        """The domain of the answers."""
        return self.direction[1]


class Paired(OneWay):
    """A model that learns one `direction` from pairs of a question in one domain and its answer in the other."""

    paired = True
    # Whether questions are label maps: augmentation does not recolor them, and uncovered borders are of no class.
    _asks_maps = False

    @property
    def _pair_shape(self):
        """`(height, width, channels)` of question and answer together."""
        return (*self.image_shape[:2], sum(self.channels.values()))

    def _shown_pair(self, question, answer, draw):
        """Question and answer as the discriminator sees them, both augmented by one draw."""
        fill = 0.0 if self._asks_maps else self.augment_fill
        return augmented(question, draw, fill, self._asks_maps), augmented(answer, draw, self.augment_fill)

    def _question_and_answer(self, batch):
        return batch if self.direction == "ab" else batch[::-1]
