"""The benchmark beside PyTorch: its PyTorch is the reference's, and what is trained there is trained on here."""

import json

import numpy as np
import pytest
from conftest import ROOT, channels_last, golden, part
from test_golden import LOSSES

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `parity`)")

TINY = ["--filters=4", "--residual-blocks=1", "--discriminator-filters=4", "--batch=1"]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more wait for each other on a busy machine
    yield
    torch.set_num_threads(threads)


def test_the_torch_trainer_follows_the_reference():
    from peers.torch_trainer import FILES, TorchCycleGAN

    trace, _ = golden("cyclegan_training_trace")
    trainer = TorchCycleGAN(4, 6, 4, pool_size=0, dtype=torch.float64)
    for role, name in FILES.items():
        state = part(trace, f"initial/{name}/")
        trainer.networks[role].load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    for step in range(5):
        losses = trainer.step(*(channels_last(trace[domain][step], "float64") for domain in ("real_A", "real_B")))
        wanted = {ours: trace[f"loss/{theirs}"][step] for theirs, ours in LOSSES.items()}
        assert losses == pytest.approx(wanted, rel=0, abs=2e-4 if step else 1e-5)
    for role, name in FILES.items():
        for key, value in trainer.networks[role].state_dict().items():
            # Biases before a normalization have no effect, and drift with the rounding of their gradients.
            if key.endswith("weight"):
                np.testing.assert_allclose(value, trace[f"final/{name}/{key}"], rtol=0, atol=2e-4, err_msg=key)


def test_the_torch_pool_fills_then_exchanges_half():
    from peers.torch_trainer import TorchPool

    pool, kept = TorchPool(2, seed=0), 0
    assert pool(torch.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]
    for number in range(2, 402):
        before = sorted(map(float, pool.images))
        (answer,) = pool(torch.tensor([float(number)])).tolist()
        kept += answer == number
        # Whatever comes back is not, or no longer, in the pool; the rest is.
        assert sorted([*map(float, pool.images), answer]) == [*before, number]
    assert 150 < kept < 250


def test_what_pytorch_trained_is_trained_on(capsys):
    from against_pytorch import arguments

    args = arguments(["continue", "--before=3", "--after=2", "--mean-of=2", "--pool-size=0", *TINY])
    found = args.run(args)
    ours, theirs = found["tf_cyclegan, imported"], found["PyTorch, from its files"]
    for mine, other, tolerance in zip(ours, theirs, (1e-4, 1e-2), strict=True):
        assert {name: mine[name] for name in other} == pytest.approx(other, rel=0, abs=tolerance)
    assert found["PyTorch, with its moments"][0] == pytest.approx(theirs[0])
    assert found["PyTorch, with its moments"][1] != pytest.approx(theirs[1], abs=1e-3)
    assert abs(found["tf_cyclegan, untrained"][0]["cycle_a"] - theirs[0]["cycle_a"]) > 0.1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:2] == ["tf_cyclegan,", "imported"] and "4-5" in lines[2]


def test_finished_runs_of_quality_are_not_made_again(tmp_path, monkeypatch, capsys):
    import against_pytorch

    results = tmp_path / "results.jsonl"
    args = against_pytorch.arguments(["quality", "--steps=1", "--seeds", "0", "1", f"--results={results}", *TINY])
    # Both by PyTorch: a step is quicker there.
    monkeypatch.setattr(against_pytorch, "BUILDERS", dict.fromkeys(["ours", "theirs"], against_pytorch.new_torch))
    args.run(args)
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["by"], line["seed"]) for line in lines] == [("ours", 0), ("theirs", 0), ("ours", 1), ("theirs", 1)]
    assert lines[0]["error"] == lines[1]["error"] != lines[2]["error"]
    table = capsys.readouterr().out
    assert "ab: tf_cyclegan less PyTorch +0.0000, within the spread" in table

    monkeypatch.setattr(against_pytorch, "BUILDERS", dict.fromkeys(["ours", "theirs"]))
    args.run(args)
    assert capsys.readouterr().out == table and len(results.read_text().splitlines()) == 4
