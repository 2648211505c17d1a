"""Stopping by signal: the step is finished, the second Ctrl-C is obeyed at once, old handlers come back."""

import os
import signal
import threading

import keras
import pytest
from callbacks_fake import FakeModel, batches

from tf_cyclegan.training.callbacks import Checkpoints, Interrupt
from tf_cyclegan.weights.run_files import newest_checkpoint


@pytest.fixture(autouse=True)
def handlers():
    """Whatever a test does, the handlers are as before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield before
    after = {number: signal.getsignal(number) for number in before}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == before


def send_at(step, *numbers):
    def send(batch, logs):
        if batch == step:
            for number in numbers:
                signal.raise_signal(number)

    return keras.callbacks.LambdaCallback(on_train_batch_begin=send)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_step_is_finished_and_saved(tmp_path, number):
    lines = []
    model, interrupt = FakeModel(), Interrupt(report=lines.append)
    model.fit(batches(5), epochs=3, verbose=0, callbacks=[interrupt, send_at(1, number), Checkpoints(tmp_path)])
    assert int(model.step) == 2 and interrupt.signal is number
    assert newest_checkpoint(tmp_path).endswith("step_00000002.keras")
    assert len(lines) == 1 and number.name in lines[0]


def test_a_second_interrupt_is_obeyed_at_once_and_the_context_restores_the_handlers():
    model = FakeModel()
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        model.fit(batches(5), verbose=0, callbacks=[interrupt, send_at(1, signal.SIGINT, signal.SIGINT)])
    assert int(model.step) == 1


def test_a_second_terminate_waits_for_the_step():
    model = FakeModel()
    model.fit(batches(5), verbose=0, callbacks=[Interrupt(), send_at(1, signal.SIGTERM, signal.SIGTERM)])
    assert int(model.step) == 2


def test_within_the_context_it_also_guards_what_comes_after_fit():
    model = FakeModel()
    with Interrupt() as interrupt:
        model.fit(batches(2), verbose=0, callbacks=[interrupt])
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.signal is signal.SIGTERM
    assert int(model.step) == 2


def test_a_signal_before_the_first_step_is_not_lost():
    model = FakeModel()
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        model.fit(batches(5), epochs=2, verbose=0, callbacks=[interrupt])
    assert int(model.step) == 1


def test_without_a_signal_nothing_happens_and_it_can_be_used_again():
    model, interrupt = FakeModel(), Interrupt()
    for _ in range(2):
        model.fit(batches(2), verbose=0, callbacks=[interrupt])
    assert int(model.step) == 4 and interrupt.signal is None


def test_in_another_thread_it_leaves_the_handlers_alone(handlers):
    model, interrupt, seen = FakeModel(), Interrupt(), []
    look = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda b, logs: seen.append(signal.getsignal(signal.SIGINT))
    )
    thread = threading.Thread(target=lambda: model.fit(batches(1), verbose=0, callbacks=[interrupt, look]))
    thread.start()
    thread.join()
    assert seen == [handlers[signal.SIGINT]] and os.getpid()
