"""Progress: what a log file and a terminal get to see, on a clock of our own; and the measure of waiting."""

import io
import re
import time

import keras
import pytest
import tensorflow as tf
from callbacks_fake import FakeModel, batches

from tf_cyclegan.training.callbacks import InputWait, Progress, input_wait, progress
from tf_cyclegan.training.callbacks.progress import duration_text, loss_text


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that each step moves by 0.25 seconds (the first, which traces, by 60)."""

    class Clock(keras.callbacks.Callback):
        now = 100.0

        def on_train_batch_end(self, batch, logs=None):
            Clock.now += 60 if int(self.model.step) == 1 else 0.25

    monkeypatch.setattr(progress, "_now", lambda: Clock.now)
    monkeypatch.setattr(input_wait, "_now", lambda: Clock.now)
    return Clock()


def run(clock, stream, steps=20, epochs=2, model=None, **settings):
    bar = Progress(steps * epochs, batch_size=2, stream=stream, **settings)
    (model or FakeModel()).fit(batches(steps), epochs=epochs, verbose=0, callbacks=[clock, bar])
    return stream.getvalue()


def test_a_log_file_gets_whole_lines(clock):
    lines = run(clock, io.StringIO(), interval=2.5).splitlines()
    assert lines[0].startswith("Epoch 1/2, step 1/40 (2%): ")  # a minute for tracing is above the interval
    assert lines[-1] == ("Epoch 2/2, step 40/40 (100%), 8.00 images/s, 0 seconds left: adv_ab 0.250  dis_b 0.250")
    assert not re.search("[\r\x1b]", "".join(lines))
    shown = [int(re.search(r"step (\d+)", line)[1]) for line in lines if line.startswith("Epoch")]
    assert shown == [1, 11, 20, 30, 40]


def test_the_forecast_comes_once_and_leaves_tracing_out(clock):
    text = run(clock, io.StringIO(), epochs=3)
    assert text.count("About 0.25 s a step: the whole run of 60 steps takes about 15 seconds on this machine.") == 1


def test_slow_first_steps_are_in_no_estimate(clock):
    slow = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(type(clock), "now", clock.now + 20 * (1 <= batch < 4))
    )
    bar = Progress(200, stream=io.StringIO(), interval=0)
    FakeModel().fit(batches(200), verbose=0, callbacks=[clock, slow, bar])
    text = bar.stream.getvalue()
    left = [
        ((200 - int(step)) * 0.25, float(count) * {"second": 1, "minute": 60}[unit])
        for step, count, unit in re.findall(r"\b(\d+)/200\b.*?(\d+) (second|minute)s? left", text)
    ]
    assert len(left) > 10 and all(said == pytest.approx(expected, abs=1) for expected, said in left)
    assert "takes about 50 seconds" in text


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_run_resumed_within_an_epoch_counts_on(clock, stream):
    bar = Progress(60, first_step=25, steps_per_epoch=20, epochs=3, stream=stream())
    FakeModel().fit(batches(15), verbose=0, callbacks=[clock, bar])  # the rest of the second epoch
    text = bar.stream.getvalue()
    assert "About 0.25 s a step: the remaining 35 steps take about 9 seconds" in text
    assert "Epoch 2/3, step 40/60 (66%)" in text and "Epoch 1" not in text and "Epoch 3" not in text


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_total_that_is_known_later_is_shown_from_then_on(clock, stream):
    bar = Progress(None, stream=stream(), steps_per_epoch=10, interval=0.5, forecast=False)

    def decide(batch, logs=None):
        if bar.step == 15:
            bar.set_total(20, epochs=2)

    decided = keras.callbacks.LambdaCallback(on_train_batch_end=decide)
    FakeModel().fit(batches(10), epochs=2, verbose=0, callbacks=[clock, bar, decided])
    before, after = re.split("step 10[^/]", bar.stream.getvalue())
    assert "Epoch 1" in before and "Epoch 1/" not in before and "left" not in before
    assert "Epoch 2/2, step 20/20 (100%)" in after and "left" in after and "About" not in after


def test_a_terminal_gets_a_bar_and_lines_that_stay(clock):
    stream = Terminal()
    text = run(clock, stream, input_wait=InputWait())
    assert "\r" in text and "40/40" in text and "8.00 images/s" in text and "adv_ab 0.250" in text
    assert "Epoch 1/2, step 20/40" in text


def test_lines_of_others_go_between(clock):
    stream = Terminal()
    bar = Progress(4, stream=stream)
    other = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: bar.write(f"line {batch}"))
    bar.write("before")
    FakeModel().fit(batches(4), verbose=0, callbacks=[bar, other])
    bar.write("after")
    assert all(re.search(rf"(^|[\r\n]){line}\n", stream.getvalue()) for line in ("before", "line 2", "after"))


def test_several_steps_in_one_execution_are_all_counted(clock):
    model = FakeModel()
    model.compile(optimizer="sgd", steps_per_execution=4, jit_compile=False)
    text = run(clock, io.StringIO(), epochs=2, model=model)
    assert "Epoch 1/2, step 20/40 (50%)" in text and "Epoch 2/2, step 40/40 (100%)" in text


def test_losses_have_short_names_and_three_digits():
    logs = {
        "adversarial_ab": 0.31249,
        "cycle_a": 1.0,
        "discriminator_b": 0.00123456,
        "identity_b": 123.4,
        "loss": 12.345,
    }
    assert loss_text(logs) == "adv_ab 0.312  cyc_a 1.00  dis_b 0.00123  idt_b 123  loss 12.3"
    assert loss_text({"loss": float("nan")}) == "loss nan"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 second"), (42, "42 seconds"), (840, "14 minutes"), (9000, "2.5 hours"), (5 * 86400, "5.0 days")],
)
def test_durations_are_in_the_unit_that_reads_best(seconds, text):
    assert duration_text(seconds) == text


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="`total_steps`.*total_steps=0"):
        Progress(0)
    with pytest.raises(ValueError, match="`first_step`.*first_step=5"):
        Progress(4, first_step=5)


# ---- waiting for input ----------------------------------------------------------------------------------------------


def slow(dataset, seconds):
    def wait(*batch):
        tf.numpy_function(lambda: time.sleep(seconds), [], [])
        return batch

    return dataset.map(wait)


def share(input_seconds, step_seconds, epochs=2):
    wait = InputWait()
    work = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(step_seconds))
    FakeModel().fit(wait.watch(slow(batches(10), input_seconds)), epochs=epochs, verbose=0, callbacks=[work, wait])
    return wait.share


def test_a_slow_input_is_seen_and_a_fast_one_costs_nothing():
    assert share(input_seconds=0.04, step_seconds=0) > 0.7
    assert share(input_seconds=0, step_seconds=0.04) < 0.2


def test_watching_changes_neither_elements_nor_length_nor_shapes():
    wait, dataset = InputWait(), batches(5)
    watched = wait.watch(dataset)
    assert int(watched.cardinality()) == 5 and watched.element_spec == dataset.element_spec
    for ours, theirs in zip(watched.as_numpy_iterator(), dataset.as_numpy_iterator(), strict=True):
        assert (ours[0] == theirs[0]).all() and (ours[1] == theirs[1]).all()


def drive(wait, ready, asked, done, monkeypatch):
    """Plays the stamps of one batch: (index, when ready), when asked for, when its step ended."""
    for moment, act in sorted(
        [
            (ready[1], lambda: wait._note_ready(ready[0])),
            (asked, lambda: wait.on_train_batch_begin(ready[0])),
            (done, lambda: wait.on_train_batch_end(ready[0])),
        ],
        key=lambda entry: entry[0],
    ):
        monkeypatch.setattr(input_wait, "_now", lambda moment=moment: moment)
        act()


def test_share_by_hand_over_epochs_and_after_a_stopped_run(monkeypatch):
    wait = InputWait()
    wait.on_train_begin()
    wait.on_epoch_begin(0)
    assert wait.share is None
    drive(wait, (0, 5.0), 0.0, 10.0, monkeypatch)  # the first step does not count
    drive(wait, (1, 12.0), 10.5, 14.0, monkeypatch)  # waits 1.5
    drive(wait, (2, 13.0), 14.5, 16.0, monkeypatch)  # was ready
    assert wait.share == pytest.approx(1.5 / 5.5)
    wait.on_epoch_begin(1)  # and a new iterator
    drive(wait, (0, 20.0), 18.0, 20.5, monkeypatch)  # waits 2
    assert wait.share == pytest.approx(3.5 / 10)
    wait._note_ready(1)  # prepared and never taken, as that `fit` was stopped
    wait.on_train_begin()
    wait.on_epoch_begin(0)
    wait._note_ready(2)  # a thread that was still at it
    drive(wait, (0, 31.0), 30.0, 32.0, monkeypatch)
    drive(wait, (1, 34.0), 33.0, 35.0, monkeypatch)  # waits 1
    assert wait.share == pytest.approx(1 / 2)
