"""pix2pixHD: translation learned from pairs at high resolution, coarse to fine."""

import json
import logging

import keras
import tensorflow as tf
from keras import ops

from tf_cyclegan.models import building, losses
from tf_cyclegan.models.any_size import smallest_side
from tf_cyclegan.models.from_maps import FromMaps
from tf_cyclegan.models.roles import Paired
from tf_cyclegan.models.stages import StagedModel, check_stage_epochs, stage_at
from tf_cyclegan.networks import coarse_and_fine, feature_encoder, global_generator, multiscale_discriminator
from tf_cyclegan.networks.coarse_to_fine import check_depth, enhancer_layers
from tf_cyclegan.networks.layers.resizing import BilinearEnlargement2D, HalvingPooling2D
from tf_cyclegan.networks.vgg import WeightsUnavailable, vgg19_features
from tf_cyclegan.settings.checks import check_choice, check_integer
from tf_cyclegan.settings.fields import documented
from tf_cyclegan.settings.models import Pix2PixHDSettings
from tf_cyclegan.settings.user_errors import renamed

# The reference has no gradient penalty here, without which wgangp does not train.
_GAN_MODES = ("lsgan", "vanilla", "hinge")
_AT_LEAST_0 = ("label_classes", "instance_features", "enhancers", "local_residual_blocks")
_AT_LEAST_1 = ("feature_clusters", "downsamplings", "scales")
_logger = logging.getLogger("tf_cyclegan")


@keras.saving.register_keras_serializable(package="tf_cyclegan")
@documented(Pix2PixHDSettings)
class Pix2PixHD(FromMaps, StagedModel, Paired):
    """Learns to translate from pairs of images at high resolution, as from label maps to photographs.

    The discriminators, one for each scale, see question and answer together. The generator minimizes, for lsgan,

        lambda_adversarial * sum_k mean((D_k(a, G(a)) - 1)^2)                                  `adversarial_ab`
        + lambda_feature_matching * 4 / (layers * scales) * sum_k,i mean(|D_k^i(a, b) - D_k^i(a, G(a))|)
                                                                                               `feature_matching_ab`
        + lambda_perceptual * sum_i w_i mean(|VGG^i(b) - VGG^i(G(a))|)                         `perceptual_ab`

    With direction `"ba"` the names end in `_ba`, and `b` is the question. A term whose weight is 0 is not computed.

    With `label_classes` domain A is a label map: a channel `id / 127.5 - 1` of classes, and for some settings a second
    such channel of instances. With `instance_features` an encoder describes the look of each instance in the real
    image, and the generator sees the description. After training `fit_feature_clusters` fills a table with the
    descriptions of each class: `translate` takes the most common one, `sample` a random one for each instance.

    Args:
        image_shape: `(height, width, channels)` of domain A. Height and width are multiples of `size_multiple` or, when
            `pool_size` is 0, None. Defaults to `(256, 256, 3)`.
        channels_b: int, channels of domain B. Defaults to the channels of A, with `label_classes` to 3.
        {settings}
        seed: optional int for the pool, the clusters and `augment`. Defaults to None.
        generator_network, discriminator_network, encoder_network, perceptual_network: own networks instead of the
            built ones. With `label_classes` the generator takes a channel for each class, one for the edges, and the
            features. The discriminator takes the same without the features, and the channels of the answer; it returns
            what `networks.multiscale_discriminator` does. `compile` loads the perceptual network that is not given.
        name: optional name.
        dtype: dtype or policy, as `"mixed_bfloat16"`; None for the ambient policy.

    Raises:
        ValueError: if an argument is out of its range, or two do not fit together.

    Example:
        >>> model = Pix2PixHD(image_shape=(64, 64, 3), filters=16, lambda_perceptual=0)
        >>> model.compile()
        >>> model.fit(load_dataset("emoji/lines", batch_size=4))  # doctest: +SKIP

    Reference:
        [Wang et al., 2017](https://arxiv.org/abs/1711.11585)
    """

    # 2^(downsamplings + enhancers): of the default settings here, of a model's own in the model.
    size_multiple = 16
    generator_functions = ("global_generator", "local_enhancer", "resnet_generator")
    network_arguments = ("generator_network", "discriminator_network", "encoder_network", "perceptual_network")

    def __init__(
        self,
        image_shape=(256, 256, 3),
        channels_b=None,
        direction="ab",
        label_classes=0,
        instance_edges=False,
        instance_features=0,
        feature_clusters=10,
        filters=64,
        downsamplings=4,
        residual_blocks=9,
        enhancers=0,
        local_residual_blocks=3,
        stage_epochs=(0, 0),
        normalization="instance",
        initializer="normal",
        discriminator_filters=64,
        discriminator_layers=3,
        scales=2,
        lambda_feature_matching=10.0,
        lambda_perceptual=10.0,
        perceptual_weights="imagenet",
        lambda_adversarial=1.0,
        gan_mode="lsgan",
        pool_size=0,
        seed=None,
        generator_network=None,
        discriminator_network=None,
        encoder_network=None,
        perceptual_network=None,
        augment=(),
        augment_fill=0.0,
        ignore_label=None,
        name=None,
        dtype=None,
    ):
        arguments = locals()
        super().__init__(name, dtype, arguments)
        # Half precision has no room for the ids of label maps.
        self.autocast = False
        if label_classes and channels_b is None:
            arguments["channels_b"] = 3
        self._keep(arguments)
        self._check_settings()
        check_stage_epochs(self, generator_network)
        self._check_answers(discriminator_network)
        self.size_multiple = 2 ** (downsamplings + enhancers)
        self._stage = stage_at(0, self.stage_epochs)

        self._make_maps()
        sides, told = self.image_shape[:2], self.condition_channels
        judged = told + self.channels[self._target]
        self._make_generators(building.build_network(generator_network, (*sides, told + instance_features)))
        discriminator = building.build_network(discriminator_network, (*sides, judged))
        self.discriminator_network = discriminator or self._new_discriminator(judged)
        self.encoder_network = building.build_network(encoder_network, (*sides, self.channels_b)) or self._new_encoder()
        # `compile` loads one where it is needed: a model that only translates, or tells its cost, needs none.
        self.perceptual_network = perceptual_network
        self.pool = building.new_pool(self, self._pair_shape, f"pool_{self._target}")
        self.build()

    # ---- settings that do not fit together ----

    def _check_settings(self):
        check_choice("direction", self.direction, ("ab", "ba"))
        check_choice("instance_edges", self.instance_edges, (False, True))
        for smallest, names in enumerate((_AT_LEAST_0, _AT_LEAST_1)):
            for name in names:
                check_integer(name, getattr(self, name), smallest)
        check_depth(self.image_shape, self.downsamplings + self.enhancers)
        building.check_common_settings(self, _GAN_MODES)
        building.check_loss_weights(self, ("lambda_feature_matching", "lambda_perceptual", "lambda_adversarial"))
        self._check_maps()
        channels = self.channels[self._target]
        if self.lambda_perceptual and channels not in (1, 3):
            raise ValueError(
                "`lambda_perceptual` must be 0 unless the generated images have 1 or 3 channels. "
                f"Received: lambda_perceptual={self.lambda_perceptual} with {channels} channels"
            )

    def _check_answers(self, discriminator):
        if self.lambda_feature_matching and len(getattr(discriminator, "outputs", ())) == 1:
            raise ValueError(
                "`discriminator_network` must answer with features and scores, as `multiscale_discriminator`, unless "
                f"`lambda_feature_matching` is 0. Received: {discriminator.name!r} with one output"
            )

    # ---- the networks ----

    def _make_generators(self, given):
        """Makes the generator, the coarse one inside it, and networks of both that take images as files hold them."""
        name = f"generator_{self.direction}"
        self.coarse_network, self.generator_network = (None, given) if given else self._new_generators(name)
        self._translator = self._from_images(self.generator_network, name)
        self._coarse_translator = None
        if self.coarse_network is not None:
            dtype = self.dtype_policy.variable_dtype
            self._half = HalvingPooling2D(dtype=dtype, name="half")
            self._enlarge = BilinearEnlargement2D(2**self.enhancers, dtype=dtype, name="enlarge")
            self._coarse_translator = self._from_images(self.coarse_network, f"{name}_enlarged", self._enlarge)

    def _new_generators(self, name):
        """The global generator with its own head, or None where no stage trains it alone; and the whole generator."""
        settings = {
            "image_shape": (None, None, self.condition_channels + self.instance_features),
            "output_channels": self.channels[self._target],
            **{name: getattr(self, name) for name in ("filters", "downsamplings", "residual_blocks")},
            "name": f"{name}_network" if self.label_classes else name,
            **self._of_all_networks,
        }
        if not self.enhancers:
            return None, global_generator(**settings)
        settings |= {"local_residual_blocks": self.local_residual_blocks, "enhancers": self.enhancers}
        coarse, fine = coarse_and_fine(**settings)
        return coarse if self.stage_epochs[0] else None, fine

    def _new_discriminator(self, channels):
        """The discriminator of question and answer."""
        with renamed(**building.DISCRIMINATOR_SETTINGS):
            return multiscale_discriminator(
                (None, None, channels),
                filters=self.discriminator_filters,
                layers=self.discriminator_layers,
                scales=self.scales,
                name=f"discriminator_{self._target}",
                **self._of_all_networks,
            )

    def _new_encoder(self):
        """The encoder of the objects of real images, or None."""
        if not self.instance_features:
            return None
        return feature_encoder(
            (None, None, self.channels_b),
            self.instance_features,
            downsamplings=self.downsamplings,
            name="encoder_b",
            **self._of_all_networks,
        )

    @property
    def _of_all_networks(self):
        return {"normalization": self.normalization, "initializer": self.initializer, "dtype": self.dtype_policy}

    def _from_images(self, network, name, enlarge=None):
        """The network that takes images or label maps as files hold them, and answers in their size."""
        if not self.label_classes and enlarge is None:
            return network
        if self.label_classes:
            image = keras.Input((None, None, self.image_shape[-1]), name="image", dtype=self.variable_dtype)
            features = self._features(image) if self.instance_features else None
            answer = network(self._joined(self._encoding(image), features))
        else:
            # The same layers in a new model, not a model inside a model.
            image, answer = network.input, network.output
        return keras.Model(image, answer if enlarge is None else enlarge(answer), name=name)

    def compile(self, *args, **kwargs):
        if self.lambda_perceptual and self.perceptual_network is None:
            # It counts as given: a saved model holds it, or False, and trains on as before without the download.
            self._given_networks.append("perceptual_network")
            self._tracker.unlock()
            self.perceptual_network = self._loaded_perceptual_network()
            self._tracker.lock()
            self._frozen_by_itself += ["perceptual_network"] if self.perceptual_network else []
        super().compile(*args, **kwargs)

    def _loaded_perceptual_network(self):
        try:
            return vgg19_features(self.perceptual_weights, "perceptual", self.dtype_policy)
        except WeightsUnavailable as error:
            _logger.warning("Training goes on without the perceptual loss: %s", error)
            return False
        except ValueError as error:
            raise ValueError(f"`perceptual_weights` cannot be used: {error}") from error

    @classmethod
    def settings_of(cls, found):
        """A generator of label maps, or a generator with a discriminator of several scales, makes a pix2pixHD."""
        generator, discriminator = found.generator, found.parts.get("discriminator")
        judged = discriminator is not None and discriminator.architecture.function == "multiscale_discriminator"
        if generator is None or not (found.label_classes or judged):
            return None
        encoder, channels = found.parts.get("encoder"), found.channels()
        features = encoder.channels[1] if encoder else 0
        edges = generator.channels[0] - features - found.label_classes if found.label_classes else 0
        if edges not in (0, 1):
            raise ValueError(
                f"`label_classes` must leave 0 or 1 of the {generator.channels[0]} channels that the generator takes, "
                f"in addition to the {features} of an encoder. Received: label_classes={found.label_classes}"
            )
        if found.label_classes:
            channels["a"] = 2 if edges or features else 1
        return {
            "image_shape": (*found.size, channels["a"]),
            "channels_b": channels["b"],
            "direction": found.way,
            # CycleGAN's generator halves its images twice, and has no setting for it.
            "downsamplings": generator.architecture.settings.get("downsamplings", 2),
            "label_classes": found.label_classes,
            "instance_edges": bool(edges),
            "instance_features": features,
            "encoder_network": encoder and encoder.architecture.build(name="encoder_b"),
        }

    # ---- the contract of a model ----

    @property
    def smallest_side(self):
        """The network enlarges a map of one pixel to two; its widest mirrored border needs 4 pixels of the image."""
        return smallest_side(self.size_multiple, map_side=1 if self.downsamplings > 1 else 2)

    def networks_by_role(self):
        return super().networks_by_role() | ({} if self.encoder_network is None else {"encoder": self.encoder_network})

    def generator(self, direction):
        """The network that translates in `direction`; in the stage `"global"` it enlarges the answers to full size."""
        network = self._coarse_translator if self.stage == "global" else self._translator
        return {self.direction: network}[direction]

    @property
    def generators(self):
        """The networks or layers that the present stage trains."""
        return enhancer_layers(self.generator_network) if self.stage == "enhancer" else [self._trained_network]

    @property
    def auxiliaries(self):
        # The optimizers hold the weights of all stages; the head of the coarse network comes last.
        all_stages = [self.coarse_network] if self.stage is None else []
        return [network for network in (self.encoder_network, *all_stages) if network is not None]

    @property
    def _trained_network(self):
        return self.coarse_network if self.stage == "global" else self.generator_network

    @property
    def _discriminates(self):
        return bool(self.lambda_adversarial or self.lambda_feature_matching)

    @property
    def loss_names(self):
        weights = {
            "adversarial": self.lambda_adversarial,
            "feature_matching": self.lambda_feature_matching,
            "perceptual": self.lambda_perceptual and self.perceptual_network is not False,
        }
        names = [f"{term}_{self.direction}" for term, weight in weights.items() if weight]
        return sorted(names + [f"discriminator_{self._target}"] * self._discriminates)

    def forward(self, batch, training):
        question, answer = self._question_and_answer(batch)
        condition, features = self._condition(question), None
        if self.instance_features:
            features = self._by_object(self.encoder_network(answer, training=training), question)
        fake = self._trained_network(self._joined(condition, features), training=training)
        if not self.pool_size:
            return {"fake": fake}
        return {"fake": fake, "fake_pair": _pair(question, fake)}

    def generator_losses(self, batch, outputs, training=True):
        condition, real = self._judged(batch)
        fake, terms = outputs["fake"], {}
        if self._discriminates:
            # Both are augmented by one draw: the loss compares their features place by place.
            draw = self._drawn_augmentation(fake, training)
            fake_scales = self._judge(condition, fake, training, draw)
        if self.lambda_adversarial:
            adversarial = losses.generator_adversarial_loss([scale[-1] for scale in fake_scales], self.gan_mode)
            terms[f"adversarial_{self.direction}"] = self.lambda_adversarial * adversarial
        if self.lambda_feature_matching:
            matching = losses.feature_matching_loss(self._judge(condition, real, training, draw), fake_scales)
            terms[f"feature_matching_{self.direction}"] = self.lambda_feature_matching * matching
        if self.lambda_perceptual and self.perceptual_network:
            perceptual = losses.perceptual_loss(self.perceptual_network, real, fake)
            terms[f"perceptual_{self.direction}"] = self.lambda_perceptual * perceptual
        return terms

    def discriminator_inputs(self, outputs):
        if not self.pool_size:
            return {"fake": outputs["fake"]}
        return {"fake_pair": self.pool(outputs["fake_pair"])}

    def discriminator_losses(self, batch, outputs, training=True):
        if not self._discriminates:
            return {}
        condition, real = self._judged(batch)
        if "fake_pair" in outputs:
            question, fake = tf.split(outputs["fake_pair"], [-1, self.channels[self._target]], axis=-1)
            fake_scales = self._judge(self._condition(question), fake, training)
        else:
            fake_scales = self._judge(condition, outputs["fake"], training)
        real_scales = self._judge(condition, real, training)
        scores = ([scale[-1] for scale in scales] for scales in (real_scales, fake_scales))
        return {f"discriminator_{self._target}": losses.discriminator_adversarial_loss(*scores, self.gan_mode)}

    def _judged(self, batch):
        """The condition and the real answer in the size of the images that the present stage generates."""
        question, answer = self._question_and_answer(batch)
        condition = self._condition(question)
        for _ in range(self.enhancers if self.stage == "global" else 0):
            condition, answer = self._half(condition), self._half(answer)
        return condition, answer

    def _judge(self, condition, images, training, draw=None):
        """The discriminators' answers, a list for each scale, to images that `draw` or a draw of their own augments."""
        draw = self._drawn_augmentation(images, training) if draw is None else draw
        outputs = self.discriminator_network(_pair(*self._shown_pair(condition, images, draw)), training=training)
        # Keras returns the list of a single scale, or its only element, in the place of a list of lists.
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return outputs if isinstance(outputs[0], (list, tuple)) else [outputs]

    def get_config(self):
        # A new network's config has tuples where a loaded network's has lists; JSON makes both lists.
        return json.loads(json.dumps(super().get_config()))


def _pair(condition, images):
    return ops.concatenate([ops.cast(condition, images.dtype), images], axis=-1)
