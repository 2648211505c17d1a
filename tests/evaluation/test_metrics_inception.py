"""Inception computes what pytorch-fid's does, and is found, downloaded or refused with a reason."""

import keras
import numpy as np
import pytest
from conftest import golden
from metrics_weights import state_of_names

from tf_cyclegan.evaluation.metrics import inception
from tf_cyclegan.evaluation.metrics.features import FeatureExtractor, distance_name, feature_extractor, inception_scale
from tf_cyclegan.pytorch import write_checkpoint


@pytest.fixture(scope="module")
def state():
    return state_of_names(golden("fid_inception_features")[0]["names"])


@pytest.fixture(scope="module")
def extractor(state):
    return FeatureExtractor(inception.inception_features(state), "inception", inception_scale("legacy_pytorch"))


def test_features_agree_with_the_reference(extractor):
    arrays, _ = golden("fid_inception_features")
    features = extractor(arrays["images"])
    assert features.shape == (2, 2048) and features.dtype == np.float32
    np.testing.assert_allclose(features, arrays["features"], rtol=0, atol=1e-4)


def test_layers_agree_with_the_reference(extractor):
    arrays, _ = golden("fid_inception_features")
    network = extractor.network
    layers = keras.Model(network.input, [network.get_layer(name).output for name in ("pool1", "pool2", "Mixed_6e")])
    images = np.stack([extractor._prepared(image) for image in arrays["images"]])
    pool1, pool2, pre_aux = (np.asarray(output).transpose(0, 3, 1, 2) for output in layers(images))
    np.testing.assert_allclose(pool1[:, :, ::8, ::8], arrays["pool1"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(pool2[:, :, ::5, ::5], arrays["pool2"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(pre_aux[:, ::4, ::4, ::4], arrays["pre_aux"], rtol=0, atol=1e-4)


def test_features_do_not_depend_on_the_batch(extractor):
    images = golden("fid_inception_features")[0]["images"]
    np.testing.assert_allclose(extractor(images, batch_size=1), extractor(images), rtol=0, atol=1e-4)


def test_a_file_is_recognized_by_what_it_contains(state, tmp_path, extractor, monkeypatch):
    monkeypatch.setattr(inception, "inception_features", lambda state: extractor.network)
    write_checkpoint(tmp_path / "weights.bin", {k: v for k, v in state.items() if v.ndim < 4 or "1a" in k})
    found = feature_extractor(tmp_path / "weights.bin", resize="clean")
    assert (found.name, found.dimensions, found.image_size) == ("inception", 2048, (299, 299))
    assert (distance_name(found), distance_name(found, "kernel")) == ("FID", "KID")


def test_other_weights_are_refused(state, extractor):
    network = extractor.network
    for theirs in ({"AuxLogits.fc.weight": np.zeros(1)}, {"fc.bias": np.zeros(1000)}):
        with pytest.raises(ValueError, match="`weights`.*pt_inception.*torchvision's Inception"):
            inception._load(network, state | theirs)
    with pytest.raises(ValueError, match="`weights`.*without 'Mixed_7c.branch_pool.bn.running_var'"):
        inception._load(network, {k: v for k, v in state.items() if k != "Mixed_7c.branch_pool.bn.running_var"})
    with pytest.raises(ValueError, match=r"`weights`.*\(3, 3, 3, 32\) at 'Conv2d_1a_3x3.conv.weight'.*\(1, 1, 3, 8\)"):
        inception._load(network, state | {"Conv2d_1a_3x3.conv.weight": np.zeros((8, 3, 1, 1))})
    with pytest.raises(ValueError, match="`weights`.*also has 'other.weight'"):
        inception._load(network, state | {"other.weight": np.zeros(1)})


def test_a_failed_download_says_what_to_do(monkeypatch):
    def fail(*_, **__):
        raise OSError("no route to\nhost")

    monkeypatch.setattr(keras.utils, "get_file", fail)
    with pytest.raises(inception.WeightsUnavailable, match="no route to host.*https://github.com/.*path") as error:
        feature_extractor()
    assert isinstance(error.value, ValueError) and "\n" not in str(error.value)


def test_a_damaged_download_is_named(monkeypatch, tmp_path):
    path = tmp_path / inception.WEIGHTS_FILE
    path.write_bytes(b"cut short")
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: str(path))
    with pytest.raises(inception.WeightsUnavailable, match="SHA-256.*6726825d.*pt_inception.*Delete the file"):
        inception.inception_weights()


def test_weights_in_the_cache_are_taken(monkeypatch, tmp_path):
    path = tmp_path / inception.WEIGHTS_FILE
    path.write_bytes(b"abc")
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: str(path))
    monkeypatch.setattr(inception, "_SHA256_START", "ba7816bf")  # of "abc", by the standard's example
    assert inception.inception_weights() == str(path)
