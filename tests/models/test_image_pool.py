"""The pool's rule, image by image."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_cyclegan.models.image_pool import ImagePool


def numbered(*numbers):
    """Images of one pixel that show their number."""
    return tf.constant(np.float32(numbers).reshape(-1, 1, 1, 1))


def numbers(images):
    return np.asarray(images).ravel().tolist()


def test_size_zero_is_off():
    assert numbers(ImagePool(0)(numbered(1, 2))) == [1, 2]


def test_a_filling_pool_returns_what_it_stores():
    pool = ImagePool(4, seed=0)
    assert numbers(pool(numbered(1, 2, 3))) == [1, 2, 3]
    assert int(pool.count) == 3
    assert numbers(pool.images) == [1, 2, 3, 0]


def test_a_full_pool_swaps_or_passes_through():
    pool = ImagePool(3, seed=0)
    exchange = tf.function(pool)
    exchange(numbered(0, 1, 2))
    held, swapped, places = [0.0, 1.0, 2.0], 0, set()
    for number in range(3, 1003):
        (returned,) = numbers(exchange(numbered(number)))
        after = numbers(pool.images)
        if returned == number:
            assert after == held, "an image that passes through is not stored"
        else:
            place = held.index(returned)
            assert after == [number if index == place else old for index, old in enumerate(held)]
            swapped += 1
            places.add(place)
        held = after
    # Half of 1,000, within four standard deviations.
    assert abs(swapped - 500) < 64
    assert places == {0, 1, 2}


def test_batches_are_treated_image_by_image():
    pool = ImagePool(2, seed=1)
    seen = numbers(pool(numbered(*range(200))))
    assert seen[:2] == [0, 1]
    assert sorted({*seen, *numbers(pool.images)}) == list(range(200)), "no image is lost or invented"


def test_choices_are_repeatable_and_saved():
    first, second = (ImagePool(2, seed=5) for _ in range(2))
    for pool in (first, second):
        pool(numbered(1, 2))
    assert [numbers(first(numbered(n))) for n in range(20)] == [numbers(second(numbered(n))) for n in range(20)]


def test_no_gradient_flows_into_the_pool():
    x = numbered(1)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ImagePool(2)(x)
    assert tape.gradient(y, x) is None


def test_unknown_sizes_and_negative_counts_are_refused():
    with pytest.raises(ValueError, match=r"`size`.*None"):
        ImagePool(2).build((None, None, None, 3))
    with pytest.raises(ValueError, match=r"`size`.*-1"):
        ImagePool(-1)


def test_a_pool_is_not_trained():
    pool = ImagePool(2)
    pool(numbered(1))
    assert pool.trainable_variables == []
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(pool)).size == 2


def test_selection_is_exact():
    """XLA draws other numbers, so what it gets is run without it."""
    branching, selecting = (ImagePool(3, seed=5) for _ in range(2))
    selecting._by_branches = selecting._by_selection
    for n in range(0, 60, 2):
        batch = numbered(n, n + 1)
        assert numbers(branching(batch)) == numbers(selecting(batch))
        assert numbers(branching.images) == numbers(selecting.images)
        assert int(branching.count) == int(selecting.count)


def test_the_program_for_xla_has_no_branches():
    pool = ImagePool(3, seed=5)
    exchange = tf.function(pool, jit_compile=True, autograph=False)
    batch = numbered(0)
    exchange(batch)
    assert "conditional" not in exchange.experimental_get_compiler_ir(batch)(stage="hlo")
    seen = [n for start in range(1, 100) for n in numbers(exchange(numbered(start)))]
    assert seen[:2] == [1, 2]
    assert sorted({0, *seen, *numbers(pool.images)}) == list(range(100)), "no image is lost or invented"
