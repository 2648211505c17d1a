"""Runs that are killed end as if they had never stopped; benchmarks/kill_and_resume.py does it to every model."""

import sys

import keras
import numpy as np
import pytest
from conftest import ROOT, SMALL, random_batches

from tf_cyclegan import CycleGAN
from tf_cyclegan.cli import main
from tf_cyclegan.training.callbacks import Checkpoints


@pytest.mark.skipif(sys.platform == "win32", reason="kills as Unix does")
def test_killed_while_it_writes_and_while_it_trains_a_run_ends_as_if_it_never_stopped(tmp_path, monkeypatch, capfd):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import kill_and_resume as program

    monkeypatch.setattr(program, "MOMENTS", ("writing", "training"))

    def finish(flags):
        assert main(flags) == 0, capfd.readouterr().err

    # The cheapest to start; it has a pool, dropout and batch normalization.
    args = program.arguments(["--model=pix2pix", "--kills=2"])
    kills, differing = program.kill_and_resume(args, tmp_path, finish)
    assert kills.total() == 2 and differing == []


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_thirty_steps_come_out_the_same_to_the_bit_also_beside_checkpoints_that_are_written(policy, tmp_path):
    model = CycleGAN(**SMALL, residual_blocks=1, dtype=policy)
    model.compile()
    variables = [*model.variables, *model.generator_optimizer.variables, *model.discriminator_optimizer.variables]
    first = [variable.numpy() for variable in variables]
    results = []
    for callbacks in ([], [Checkpoints(tmp_path, frequency_steps=7)]):
        for variable, value in zip(variables, first, strict=True):
            variable.assign(value)
        model.fit(random_batches(30), callbacks=callbacks, verbose=0, shuffle=False)
        results.append([variable.numpy().tobytes() for variable in variables])
    assert results[0] == results[1] and int(model.step) == 30
    kept = keras.models.load_model(tmp_path / "step_00000030.keras")
    for ours, theirs in zip(model.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
