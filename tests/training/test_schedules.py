"""Learning rates of whole runs."""

import keras
import pytest
import tensorflow as tf

from tf_cyclegan.training.schedules import ConstantThenLinearDecay, CosineDecay, PlannedSchedule, StepDecay


def by_epoch(schedule, epochs, steps_per_epoch=7):
    """The rate in the first and last step of each epoch, which must be the same."""
    first = [float(schedule(epoch * steps_per_epoch)) for epoch in range(epochs)]
    last = [float(schedule(epoch * steps_per_epoch + steps_per_epoch - 1)) for epoch in range(epochs)]
    assert first == last
    return first


def test_the_papers_schedule():
    rates = by_epoch(ConstantThenLinearDecay(2e-4, 7), 200)
    assert rates[:100] == [pytest.approx(2e-4)] * 100
    assert rates[100] / 2e-4 == pytest.approx(1 - 1 / 101)
    assert rates[199] / 2e-4 == pytest.approx(1 / 101, rel=1e-4)
    drops = [before - after for before, after in zip(rates[99:], rates[100:], strict=False)]
    assert drops == [pytest.approx(2e-4 / 101, rel=1e-3)] * 100
    assert float(ConstantThenLinearDecay(2e-4, 7)(10_000_000)) > 0


def test_step_decay():
    rates = by_epoch(StepDecay(1e-3, 7, decay_epochs=2, decay_rate=0.1), 5)
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


def test_cosine_decay_is_never_zero_and_does_not_rise_again():
    rates = by_epoch(CosineDecay(1.0, 7, epochs=4), 6)
    assert rates == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.146447, 0.146447], abs=1e-5)


@pytest.mark.parametrize("schedule", [ConstantThenLinearDecay(2e-4, 7, 4, 5), StepDecay(1e-3, 7), CosineDecay(1e-3, 7)])
def test_schedules_are_saved_with_their_optimizer(schedule):
    optimizer = keras.optimizers.Adam(schedule)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert by_epoch(again._learning_rate, 9) == by_epoch(schedule, 9)


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: ConstantThenLinearDecay(2e-4, 0), "steps_per_epoch"),
        (lambda: ConstantThenLinearDecay(0.0, 1), "initial_learning_rate"),
        (lambda: ConstantThenLinearDecay(2e-4, 1, epochs=-1), "epochs"),
        (lambda: StepDecay(2e-4, 1, decay_epochs=0), "decay_epochs"),
        (lambda: CosineDecay(2e-4, 1, epochs=0), "epochs"),
        (lambda: PlannedSchedule(0.0), "initial_learning_rate"),
        (lambda: PlannedSchedule(2e-4, "falling"), "shape"),
        (lambda: PlannedSchedule(2e-4, epochs=0, decay_epochs=0), "epochs"),
        (lambda: PlannedSchedule(2e-4, "step", decay_epochs=0), "decay_epochs"),
        (lambda: PlannedSchedule(2e-4, total_steps=0), "total_steps"),
    ],
)
def test_wrong_settings_are_named(make, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        make()


def test_epochs_of_long_runs_are_exact():
    # 2^24 + 1 is no float32: an epoch computed in floats would begin a step late.
    schedule = StepDecay(1.0, steps_per_epoch=2**24 + 1, decay_epochs=1)
    assert float(schedule(2**24)) == 1.0
    assert float(schedule(2**24 + 1)) == pytest.approx(0.1)


# ---- planned by steps ----


@pytest.mark.parametrize(
    "shape, rates",
    [  # at the steps 0, 99, 100, 250, 300 and 399 of 400, in the proportion 1 : 3
        ("linear", [1, 1, 300 / 301, 150 / 301, 100 / 301, 1 / 301]),
        ("step", [1, 1, 1, 1, 0.1, 0.1]),
        ("cosine", [1, 0.856319, 0.853553, 0.308658, 0.146447, 0.000015]),
        ("constant", [1, 1, 1, 1, 1, 1]),
    ],
)
def test_a_planned_schedule_has_the_shape_of_the_recipe_over_its_steps(shape, rates):
    schedule = PlannedSchedule(2.0, shape, epochs=1, decay_epochs=3)
    assert float(schedule(0)) == float(schedule(10**6)) == 2.0 and schedule.constant_steps is None
    schedule.decide(400)
    found = [float(schedule(step)) / 2 for step in (0, 99, 100, 250, 300, 399)]
    assert found == pytest.approx(rates, abs=1e-6)
    hundreds = PlannedSchedule(2.0, shape, epochs=100, decay_epochs=300, total_steps=400)
    assert [float(hundreds(step)) for step in range(0, 400, 7)] == [float(schedule(step)) for step in range(0, 400, 7)]
    assert [PlannedSchedule(1.0, "linear", 1, 3, total_steps=n).constant_steps for n in (400, 401)] == [100, 100]


def test_what_was_trained_before_the_decision_keeps_its_rate():
    schedule = PlannedSchedule(1.0, "cosine", total_steps=100, measured_steps=40)
    later = PlannedSchedule(1.0, "cosine")
    before = [float(later(step)) for step in range(40)]
    later.decide(100, 40)
    assert before == [float(schedule(step)) for step in range(40)] == [1.0] * 40
    assert float(schedule(40)) == float(later(40)) == pytest.approx(0.654508) and schedule.constant_steps == 40


def test_a_decision_makes_no_new_graph():
    schedule, traced = PlannedSchedule(1.0, epochs=0, decay_epochs=1), []

    @tf.function
    def rate(step):
        traced.append(step)
        return schedule(step)

    assert float(rate(tf.constant(3))) == 1.0
    schedule.decide(9)
    assert float(rate(tf.constant(3))) == pytest.approx(0.6) and len(traced) == 1


@pytest.mark.parametrize("total_steps", [None, 30])
def test_a_planned_schedule_is_saved_with_what_was_decided(total_steps):
    schedule = PlannedSchedule(1e-3, "step", 2, 1, 0.5, total_steps, 7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(keras.optimizers.Adam(schedule)))
    assert again._learning_rate.get_config() == schedule.get_config()
    assert [float(again._learning_rate(step)) for step in range(40)] == [float(schedule(step)) for step in range(40)]
