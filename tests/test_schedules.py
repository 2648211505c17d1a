"""Learning rates of whole runs."""

import keras
import pytest

from tf_cyclegan.schedules import ConstantThenLinearDecay, CosineDecay, StepDecay


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
