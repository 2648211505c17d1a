"""The benchmarks run: contestants take turns, and what they took stands in the table."""

import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"
PEERS = BENCHMARKS / "peers"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("PYTHONPATH", str(PEERS), prepend=":")


def sleeper(seconds):
    return [sys.executable, "-c", f"import time, stepping; stepping.serve(lambda: time.sleep({seconds}))"]


def test_contestants_take_turns_and_are_compared(capsys):
    from contest import contest, table

    contestants = contest({"ours": sleeper(0.01), "theirs": sleeper(0.03)}, steps=3)
    table("a title", contestants, floor=0.005)
    title, _, ours, theirs = capsys.readouterr().out.strip().splitlines()
    assert title == "a title"
    assert [len(contestant.seconds) for contestant in contestants] == [3, 3]
    ratio, share = re.search(r"([\d.]+) x\s+(\d+)%", theirs).groups()
    assert 1.5 < float(ratio) < 4 and 5 < int(share) < 20
    assert " x" not in ours


def test_a_contestant_that_fails_says_why():
    from contest import contest

    with pytest.raises(SystemExit, match="bad ended without its figures(.|\n)*no such thing"):
        contest({"bad": [sys.executable, "-c", "raise ValueError('no such thing')"]}, steps=1)


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_ours_makes_steps(mode):
    from contest import contest, peer

    flags = ["--mode", mode, "--size", "32", "--filters", "4", "--blocks", "1"]
    (ours,) = contest({"ours": peer(None, "ours.py", *flags)}, steps=2)
    assert len(ours.seconds) == 2 and min(ours.seconds) > 0 and 0.1 < ours.peak_gb < 4


def test_the_input_pipeline_says_how_often_it_feeds_a_step():
    flags = ["--size", "32", "--pairs", "8", "--turns", "1", "--step-seconds", "0.5"]
    command = [sys.executable, str(BENCHMARKS / "input_pipeline.py"), *flags]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name in ("tf_cyclegan", "tf.data recipe"):
        rate, times = re.search(rf"{name}\s+([\d.]+) pairs/s, (\d+) times", text).groups()
        assert abs(float(rate) * 0.5 - int(times)) <= 0.6


def test_large_images_are_compared_by_rows(tmp_path):
    import large_image

    pixels = np.asarray(large_image.picture(300))
    assert pixels.shape == (300, 300, 3) and pixels[200:].mean() > pixels[:100].mean() + 20
    whole = pixels / 127.5 - 1
    tiled = whole.copy()
    tiled[100:] += 0.5  # tiles that are lighter than the one above them
    for name, array in (("whole", whole), ("tile", tiled)):
        np.save(tmp_path / f"{name}.npy", array)
    paths = tmp_path / "tile.npy", tmp_path / "whole.npy"
    np.testing.assert_allclose(large_image.distance(*paths), (0.5, 0.5 * 2 / 3))
    assert large_image.seam(*paths, 100, 0) == pytest.approx((0.25, 0), abs=1e-9)


_COMPILED = """HloModule program
%body (p: f32[2,4]) -> f32[2,4] {
  %p = f32[2,4]{1,0} parameter(0)
  ROOT %copy.1 = f32[2,4]{1,0} copy(%p), metadata={op_name="x"}
}
%other (p: f32[2,4]) -> f32[2,4] {
  %p = f32[2,4]{1,0} parameter(0)
  ROOT %transpose_fusion = f32[2,4]{1,0} fusion(%p), kind=kInput, calls=%unread
}
ENTRY %main (a: pred[], b: f32[2,4]) -> f32[2,4] {
  %a = pred[] parameter(0)
  %b = f32[2,4]{1,0} parameter(1)
  %conv.1 = (f32[2,4]{1,0}, u8[0]{0}) custom-call(%b), custom_call_target="__cudnn$convForward"
  %out = f32[2,4]{1,0} get-tuple-element(%conv.1), index=0
  ROOT %c = f32[2,4]{1,0} conditional(%a, %b, %out), true_computation=%body, false_computation=%other, metadata={}
}
"""


def test_what_a_compiled_program_launches_is_counted(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS / "gpu"))
    from compiled_program import facts, launched

    assert sorted(line.moved for line in launched(_COMPILED)) == [0, 64, 64, 64]
    found = facts(_COMPILED)
    assert [found[name] for name in ("launched", "convolutions (cuDNN)", "copies", "transposes")] == [3, 1, 1, 1]
    assert found["conditionals"] == 1 and found["whiles"] == 0
