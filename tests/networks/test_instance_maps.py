"""Label maps and instance maps: exact ids, edges, means, and the table of instance features."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images

from tf_cyclegan.networks import instance_features, instance_maps

IDS = np.r_[0:256, 26000:26050, 33018, 65535]


def as_map(*channels):
    """Ids as a batch has them."""
    return (np.stack(channels, axis=-1) / 127.5 - 1).astype("float32")


def test_ids_come_back_exactly():
    np.testing.assert_array_equal(instance_maps.to_ids(as_map(IDS)[:, 0]), IDS)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "float64"])
def test_encoding_is_exact_in_every_policy_alone_and_in_a_network(policy):
    classes = 256
    labels = np.arange(256).reshape(1, 16, 16)
    layer = instance_maps.LabelEncoding(classes, instance_edges=True, dtype=policy)
    image = keras.Input((None, None, 2))
    network = keras.Model(image, layer(image))
    images = as_map(labels, labels + 26000)
    for encoded in (layer(images), network(images), tf.function(network)(tf.constant(images))):
        assert encoded.shape == (1, 16, 16, 257) and encoded.dtype == layer.compute_dtype
        np.testing.assert_array_equal(tf.argmax(encoded[..., :-1], -1), labels)
        assert set(np.asarray(tf.cast(encoded, "float32")).sum((1, 2))[0]) == {1, 256}


def test_a_class_beyond_the_last_is_no_class():
    encoded = instance_maps.LabelEncoding(3)(as_map(np.array([[[0, 2, 3, 255]]])))
    np.testing.assert_array_equal(np.asarray(encoded).sum(-1), [[[1, 1, 0, 0]]])


def test_edges_are_on_both_sides():
    instances = np.array([[[1, 1, 1, 1], [1, 1, 2, 2], [1, 1, 2, 2]]])
    wanted = [[[0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 1, 0]]]
    np.testing.assert_array_equal(instance_maps.edges(tf.constant(instances)), np.array(wanted, bool))


def test_means_are_of_each_object_of_each_image():
    values = random_images(2, 4, 4)
    instances = np.array([[[1, 1, 2, 2]] * 4, [[1, 7, 7, 1]] * 4])
    means = np.asarray(instance_maps.InstanceMeans()(values, tf.constant(instances)))
    for image in range(2):
        for label in np.unique(instances[image]):
            inside = instances[image] == label
            np.testing.assert_allclose(means[image][inside], np.tile(values[image][inside].mean(0), (8, 1)), atol=1e-6)


def test_means_have_gradients():
    values = tf.constant(random_images(1, 2, 2))
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(instance_maps.InstanceMeans()(values, tf.constant([[[1, 1], [1, 2]]])) ** 2)
    assert np.all(np.asarray(tape.gradient(total, values)) != 0)


def test_colors_of_all_classes_differ():
    colors = instance_maps.palette(np.arange(4096).reshape(1, 64, 64))
    assert colors.shape == (1, 64, 64, 3) and colors.dtype == np.float32
    assert np.abs(colors).max() <= 1
    assert len(np.unique(colors.reshape(-1, 3), axis=0)) == 4096
    np.testing.assert_allclose((colors[0, 0, :4] + 1) * 127.5, [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]])


# ---- the table ----


def filled_table(**settings):
    table = instance_features.FeatureTable(classes=3, clusters=2, features=2, **settings)
    table.build((None, None, None, 2))
    centers = {0: np.array([[0.1, 0.2], [0.3, 0.4]]), 2: np.array([[0.5, 0.6]])}
    table.fill(centers, {0: np.array([1, 5]), 2: np.array([4])})
    return table


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_class_has_the_features_of_its_largest_cluster(policy):
    table = filled_table(dtype=policy)
    found = tf.cast(table(as_map(np.array([[[0, 1, 2, 9]]]), np.zeros((1, 1, 4)))), "float32")
    np.testing.assert_allclose(found, [[[[0.3, 0.4], [0, 0], [0.5, 0.6], [0, 0]]]], atol=2e-3)


def test_a_table_is_filled_and_emptied():
    table = instance_features.FeatureTable(3, 2, 2)
    table.build((None, None, None, 2))
    assert not table.is_filled
    table.fill({1: np.ones((1, 2))}, {1: np.ones(1)})
    assert table.is_filled
    table.fill({}, {})
    assert not table.is_filled and table.trainable_variables == []


def test_samples_are_clusters_of_the_class_one_for_each_object():
    table = filled_table()
    labels = np.zeros((1, 1, 64), int)
    labels[..., 60:] = 2
    instances = np.arange(64).reshape(1, 1, 64) // 2
    images = as_map(labels, instances)
    drawn = np.asarray(table.sample(images, seed=3))
    np.testing.assert_array_equal(drawn, table.sample(images, seed=3))
    np.testing.assert_array_equal(drawn[0, 0, 0::2], drawn[0, 0, 1::2])
    assert {tuple(row) for row in drawn[0, 0, :60].round(5).astype(str)} == {("0.1", "0.2"), ("0.3", "0.4")}
    np.testing.assert_allclose(drawn[0, 0, 60:], [[0.5, 0.6]] * 4)
    assert not np.array_equal(drawn, table.sample(images, seed=4))


def test_objects_of_a_batch_are_found():
    labels = np.array([[[0, 0], [0, 2]], [[1, 1], [1, 1]]])
    values = random_images(2, 2)
    means, classes, shares = instance_features.object_features(
        tf.constant(values), tf.constant(as_map(labels, labels + 1000))
    )
    order = np.argsort(classes)
    np.testing.assert_array_equal(classes[order], [0, 1, 2])
    np.testing.assert_allclose(shares[order], [0.75, 1, 0.25])
    wanted = [values[0][labels[0] == 0].mean(0), values[1].mean((0, 1)), values[0, 1, 1]]
    np.testing.assert_allclose(means[order], wanted, atol=1e-6)


def test_classes_are_clustered_apart_and_small_objects_left_out():
    points = np.array([[0.0], [0.1], [5.0], [5.1], [5.2], [9.0], [7.0], [7.0]])
    classes = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    shares = np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.001, 0.001, 0.001])
    centers, counts = instance_features.cluster_by_class(points, classes, shares, clusters=2, seed=0)
    order = np.argsort(centers[0][:, 0])
    np.testing.assert_allclose(centers[0][order], [[0.05], [5.1]])
    np.testing.assert_array_equal(counts[0][order], [2, 3])
    # A class that has no larger objects, and fewer different ones than clusters.
    np.testing.assert_allclose(centers[1], [[7.0]])
    np.testing.assert_array_equal(counts[1], [2])


@pytest.mark.parametrize(
    "make", [lambda: instance_maps.LabelEncoding(0), lambda: instance_features.FeatureTable(0, 1, 1)]
)
def test_wrong_settings_are_named(make):
    with pytest.raises(ValueError, match="`classes`.*0"):
        make()
