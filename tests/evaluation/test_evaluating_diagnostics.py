"""Plain words for what the numbers say."""

from types import SimpleNamespace

import pytest

from tf_cyclegan.evaluation import diagnose
from tf_cyclegan.evaluation.diagnostics import score_of
from tf_cyclegan.evaluation.verdicts import COLLAPSED, CURES, INVERTED, UNCHANGED_MEAN
from tf_cyclegan.models.losses import WON, Adversaries

PAIRED, UNPAIRED = (SimpleNamespace(paired=paired, adversaries=Adversaries()) for paired in (True, False))

HEALTHY = {
    "l1": {"value": 0.2, "of_input": 0.4, "of_mean": 0.5},
    "cycle": {"value": 0.1},
    "identity": {"value": 0.05},
    "change": {"value": 0.4, "share_of_large_changes": 0.5},
    "diversity": {"value": 0.5, "inputs": 0.5, "targets": 0.6, "images": 64, "target_images": 64},
    "luminance": {"value": 0.8},
}


def findings(level, result=None, **logs):
    return [finding for finding in diagnose(result, **logs) if finding.level == level]


def result_of(images=3000, **changes):
    return {"data": {"images": {"a": images, "b": images}}, "directions": {"ab": {"scores": HEALTHY | changes}}}


def test_a_healthy_model_has_no_problem():
    found = diagnose(result_of(), losses=[{"epoch": 0, "adversarial_ab": 0.3, "discriminator_b": 0.2}])
    assert [finding.level for finding in found] == ["good"] * 3
    assert any("The error is 0.200, the error of the input itself 0.400: 50% less" in finding.text for finding in found)


@pytest.mark.parametrize(
    "changes, text, cure",
    [
        (
            {"l1": {"value": 0.45, "of_input": 0.4}, "cycle": {"value": 0.3}},
            "worse than a trivial baseline",
            "",
        ),
        ({"change": {"value": 1.9 * UNCHANGED_MEAN, "share_of_large_changes": 0.001}}, "Outputs equal", "unchanged"),
        ({"luminance": {"value": INVERTED - 0.01}}, "Colors are inverted", "inverted"),
        ({"diversity": {"value": 0.49 * COLLAPSED, "inputs": 0.5, "targets": 0.6}}, "One output for", "collapsed"),
        ({"l1": {"value": 0.39, "of_input": 0.4}, "cycle": {"value": 0.05}}, "is hidden in the translation", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(changes, text, cure):
    found = findings("problem", result_of(**changes))
    assert len(found) == 1 and text in found[0].text and found[0].direction == "ab"
    assert found[0].advice == CURES[cure] if cure else found[0].advice


def test_without_pairs_a_little_nearer_than_the_input_is_good():
    near = result_of(l1={"value": 0.385, "of_input": 0.4}, cycle={"value": 0.05})
    assert findings("problem", near, model=UNPAIRED) == []
    (found,) = (each for each in diagnose(near, model=UNPAIRED) if "The error" in each.text)
    assert found.level == "good" and "4% less" in found.text and "--features" in found.advice
    worse = findings("problem", result_of(l1={"value": 0.41, "of_input": 0.4}), model=UNPAIRED)
    assert "worse than a trivial baseline" in worse[0].text
    assert any("hidden" in each.text for each in findings("problem", near, model=PAIRED))


def test_what_is_right_just_above_the_threshold_is_no_problem():
    close = {
        "change": {"value": 1.9 * UNCHANGED_MEAN, "share_of_large_changes": 0.02},  # a small zebra is a change too
        "luminance": {"value": INVERTED + 0.01},
        "diversity": {"value": 0.51 * COLLAPSED, "inputs": 0.5, "targets": 0.6},
    }
    assert findings("problem", result_of(**close)) == []


def test_pairs_say_themselves_what_becomes_of_colors():
    assert findings("problem", result_of(luminance={"value": -0.9}), model=PAIRED) == []


def model_of(won, discriminator_scale=1.0, adversarial_scale=1.0):
    return SimpleNamespace(paired=False, adversaries=Adversaries(won, discriminator_scale, adversarial_scale))


def test_a_discriminator_that_has_won_is_told_from_the_losses():
    below, above = WON["lsgan"]
    rows = [
        {"epoch": epoch, "adversarial_ab": 0.25 * (above + 0.1), "discriminator_b": below / 2} for epoch in range(4)
    ]
    (found,) = findings("problem", losses=rows, model=model_of(WON["lsgan"], adversarial_scale=0.25))
    assert "discriminator of domain B has won" in found.text and found.advice == CURES["won"]
    assert findings("problem", losses=rows, model=model_of(None, adversarial_scale=0.25)) == []
    rows = [{"epoch": 0, "adversarial_ab": above + 0.1, "discriminator_b": 1.5 * below}]
    assert len(findings("problem", losses=rows, model=model_of(WON["lsgan"], 2.0))) == 1
    assert findings("problem", losses=rows, model=model_of(WON["lsgan"], 6.0, 3.0)) == []
    (found,) = findings("problem", losses=[{"epoch": 0, "cycle_a": float("nan")}])
    assert "cycle_a are NaN or infinite" in found.text


def test_a_best_long_before_the_last_is_worth_a_word():
    rows = [{"step": step, "l1_ab": value, "l1_ba": value} for step, value in ((10, 0.2), (20, 0.3), (40, 0.4))]
    best = {"step": 10, "score": "l1", "value": 0.2, "better": "lower"}
    (found,) = findings("caution", metrics=rows, best=best)
    assert "l1 was best at step 10 (0.2); at the last, 40, it is 0.4" in found.text and "best.keras" in found.advice
    assert findings("caution", metrics=rows[::-1], best=best | {"step": 40}) == []
    assert score_of({"step": 1, "l1_ab": 1.0, "l1_ba": 3.0}, "l1") == 2
    assert score_of({"step": 1, "l1_ab": 1.0}, "kid") is None


def test_few_images_are_told_of():
    fid = {"value": 60.0, "name": "FID", "real": 140, "translated": 120}
    (found,) = findings("caution", result_of(fid=fid))
    assert "FID of 120 images is biased upward" in found.text and "KID" in found.advice
    assert findings("caution", result_of(fid=fid | {"real": 5000, "translated": 5000})) == []
    assert "12 images are few" in findings("caution", result_of(images=12))[0].text
