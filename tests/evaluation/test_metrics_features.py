"""Feature extractors: what is done to images before a network, and which files are networks."""

import keras
import numpy as np
import pytest
from PIL import Image

from tf_cyclegan.evaluation.metrics.features import inception_scale, resize_image
from tf_cyclegan.metrics import FeatureExtractor, distance_name, feature_extractor
from tf_cyclegan.pytorch import write_checkpoint


def noise(count=3, height=12, width=10, channels=3, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (count, height, width, channels)).astype("uint8")


def identity_network(size=(None, None), channels=3, pooled=False):
    """Gives the pixels it gets."""
    image = keras.Input((*size, channels))
    x = keras.layers.Activation("linear")(image)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x) if pooled else x)


def test_bilinear_takes_the_pixels_around_a_place():
    row = np.array([0, 100, 200, 40], np.uint8).reshape(1, 4, 1)
    np.testing.assert_allclose(resize_image(row, (1, 2), "legacy_pytorch").ravel(), [50, 120])
    np.testing.assert_allclose(resize_image(row[:, :2], (1, 4)).ravel(), [0, 25, 75, 100])


def test_bilinear_does_not_smooth_and_bicubic_does():
    stripes = np.tile(np.array([0, 0, 255, 255], np.uint8), 4).reshape(1, 16, 1).repeat(16, axis=0)
    assert np.ptp(resize_image(stripes, (4, 4), "legacy_pytorch")) == 0
    stripes = np.roll(stripes, 1, axis=1)
    assert resize_image(stripes, (4, 4), "legacy_pytorch").mean() in (0, 255)
    assert abs(resize_image(stripes, (4, 4), "clean")[:, 1:-1] - 127.5).max() < 20


def test_clean_is_pils_bicubic_by_channel_and_not_rounded():
    image = noise(1, 40, 30)[0]
    planes = [Image.fromarray(image[..., i].astype("float32")).resize((16, 20), Image.BICUBIC) for i in range(3)]
    wanted = np.clip(np.stack([np.asarray(plane) for plane in planes], axis=-1), 0, 255)
    np.testing.assert_array_equal(resize_image(image, (20, 16), "clean"), wanted)
    assert np.abs(wanted - np.rint(wanted)).max() > 0.3


@pytest.mark.parametrize("rule", ["clean", "legacy_pytorch"])
def test_an_image_of_the_right_size_is_left_alone(rule):
    image = noise(1)[0]
    np.testing.assert_array_equal(resize_image(image, (12, 10), rule), image)


def test_the_rules_scale_as_their_projects():
    levels = np.array([0, 128, 255], np.float32)
    np.testing.assert_allclose(inception_scale("legacy_pytorch")(levels), [-1, 1 / 255, 1], atol=1e-6)
    np.testing.assert_allclose(inception_scale("clean")(levels), [-1, 0, 127 / 128], atol=1e-6)


def test_features_of_four_dimensions_are_averaged():
    images = noise()
    extractor = FeatureExtractor(identity_network(), "pixels")
    assert (extractor.dimensions, extractor.image_size) == (3, None)
    features = extractor(images)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, images.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(FeatureExtractor(identity_network(pooled=True), "pixels")(images), features, rtol=1e-6)


def test_images_of_any_size_and_channels_come_to_the_networks():
    extractor = FeatureExtractor(identity_network((8, 6)), "pixels", resize="clean")
    assert extractor.image_size == (8, 6)
    images = [noise(1)[0], noise(1, 30, 40, 1)[0]]
    features = extractor(images)
    wanted = resize_image(images[1].repeat(3, axis=2), (8, 6), "clean").mean(axis=(0, 1))
    np.testing.assert_allclose(features[1], wanted, rtol=1e-5)
    gray = FeatureExtractor(identity_network((8, 6), channels=1), "gray")
    assert gray(images).shape == (2, 1)


def test_images_stream_in_batches():
    extractor = FeatureExtractor(identity_network(), "pixels", batch_size=4)
    images, asked = noise(10), []

    def source():
        for image in images:
            asked.append(len(asked))
            yield image

    stream = extractor.stream(source())
    assert next(stream).shape == (4, 3) and len(asked) == 4, "no more is read than one batch takes"
    assert [len(batch) for batch in stream] == [4, 2]
    np.testing.assert_array_equal(extractor(images, batch_size=3), extractor(images))
    assert extractor([]).shape == (0, 3)


def test_images_that_do_not_fit_are_named():
    extractor = FeatureExtractor(identity_network(), "pixels")
    with pytest.raises(ValueError, match="`images` must be uint8.*to_uint8.*dtype=float32"):
        extractor(np.zeros((1, 4, 4, 3), "float32"))
    with pytest.raises(ValueError, match="`images` must all be of one size.*pixels"):
        extractor([noise(1)[0], noise(1, 4, 4)[0]])
    with pytest.raises(ValueError, match="`resize`.*legacy_pytorch, clean.*'bilinear'"):
        FeatureExtractor(identity_network(), "pixels", resize="bilinear")


def test_a_keras_file_is_a_network_of_its_own_name(tmp_path):
    identity_network((8, 8)).save(tmp_path / "inception.keras")
    extractor = feature_extractor(str(tmp_path / "inception.keras"), value_range=(0, 1))
    assert extractor.name == "features of inception"
    assert distance_name(extractor) == "Fréchet distance with inception features", "and not FID"
    white = np.full((1, 8, 8, 3), 255, np.uint8)
    np.testing.assert_allclose(extractor(white), [[1, 1, 1]], rtol=1e-6)
    default = feature_extractor(tmp_path / "inception.keras")
    np.testing.assert_allclose(default(np.concatenate([white, 0 * white])), [[1] * 3, [-1] * 3], rtol=1e-6)


def test_files_that_are_no_networks_are_named(tmp_path):
    with pytest.raises(ValueError, match="`features`.*missing.pth.*no such file"):
        feature_extractor(tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("no weights at all, only words")
    with pytest.raises(ValueError, match="`features` must be a checkpoint.*text.pth"):
        feature_extractor(tmp_path / "text.pth")
    write_checkpoint(tmp_path / "other.pth", {"conv.weight": np.zeros((2, 2))})
    with pytest.raises(ValueError, match="`features`.*save others as a .keras file.*'conv.weight'"):
        feature_extractor(tmp_path / "other.pth")
    image = keras.Input((8, 8, 3))
    keras.Model(image, [image, image]).save(tmp_path / "two.keras")
    with pytest.raises(ValueError, match="`network` must take one batch of images"):
        feature_extractor(tmp_path / "two.keras")
    whole = (tmp_path / "two.keras").read_bytes()
    (tmp_path / "broken.keras").write_bytes(whole.replace(b'"Functional"', b'"Fonctional"'))
    with pytest.raises(ValueError, match="`features` cannot be read: .*broken.keras") as error:
        feature_extractor(tmp_path / "broken.keras")
    assert "\n" not in str(error.value)
