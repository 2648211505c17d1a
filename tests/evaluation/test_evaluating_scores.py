"""Scores of models whose answers are known by heart."""

import weakref

import numpy as np
import pytest
from conftest import SMALL, random_images
from evaluating_fakes import ArrayData, Shifting, flat, save_features

from tf_cyclegan import UNIT, CycleGAN, Pix2Pix, Pix2PixHD
from tf_cyclegan.evaluation import Evaluator, Gallery, evaluate_model, flat_scores, open_instruments
from tf_cyclegan.evaluation import scores as scores_module
from tf_cyclegan.evaluation.examples import Example, examples, mean_images
from tf_cyclegan.evaluation.metrics import inception
from tf_cyclegan.metrics import FrechetDistance, KernelDistance, feature_extractor

SMALL_UNIT = {"residual_blocks": 1, "scales": 1, "discriminator_layers": 2}
NO_NETWORKS = ("l1", "psnr", "ssim", "cycle", "identity", "change", "diversity", "luminance")


def measured(model, data, metrics=NO_NETWORKS, **settings):
    return evaluate_model(model, data, open_instruments(metrics, required=False), **settings)


def test_scores_by_hand():
    data = ArrayData(flat(-0.6, -0.4), flat(-0.2, 0.2))
    result = measured(Shifting(), data, means={"b": flat(0.0)[0], "a": flat(-0.5)[0]})
    ab = result["directions"]["ab"]["scores"]
    # -0.1 for -0.2, and 0.1 for 0.2
    assert ab["l1"] == pytest.approx(
        {"value": 0.1, "deviation": 0, "images": 2, "of_input": 0.5, "of_mean": 0.2}, abs=1e-6
    )
    assert ab["psnr"]["value"] == pytest.approx(10 * np.log10(4 / 0.01), abs=1e-4)
    assert ab["cycle"]["value"] == pytest.approx(0, abs=1e-6)
    assert ab["identity"]["value"] == pytest.approx(0.5) and ab["change"]["value"] == pytest.approx(0.5)
    assert ab["change"]["share_of_large_changes"] == 1
    expected = {"value": 0.2, "inputs": 0.2, "targets": 0.4, "images": 2, "target_images": 2}
    assert ab["diversity"] == pytest.approx(expected, abs=0.01)  # rounded to levels
    assert "luminance" not in ab  # flat images correlate with nothing
    assert result["directions"]["ab"]["per_image"]["l1"] == pytest.approx([0.1, 0.1], abs=1e-6)
    assert result["directions"]["ab"]["names"] == ["a0.png", "a1.png"]
    assert result["directions"]["ba"]["scores"]["l1"]["value"] == pytest.approx(0.1)  # -0.7 for -0.6, -0.3 for -0.4
    assert flat_scores(result)["l1_ab"] == ab["l1"]["value"]


def test_equal_images_have_no_psnr_and_do_not_spoil_the_mean():
    result = measured(Shifting(("ab",)), ArrayData(flat(-0.5, 0.0), flat(0.0, 0.25)), ("psnr",))
    found = result["directions"]["ab"]
    assert found["per_image"]["psnr"][0] is None
    assert found["scores"]["psnr"]["images"] == 1 and found["scores"]["psnr"]["without"] == 1
    assert found["scores"]["psnr"]["value"] == pytest.approx(10 * np.log10(4 / 0.0625), abs=1e-4)


def test_without_right_answers_what_needs_them_is_left_out_with_the_reason():
    data = ArrayData(random_images(3), random_images(2), paired=False)
    result = measured(Shifting(), data)
    assert "not pairs" in result["left_out"]["l1"]
    assert set(result["directions"]["ab"]["scores"]) == {"cycle", "identity", "change", "diversity", "luminance"}
    assert result["data"]["images"] == {"a": 3, "b": 2} and not result["data"]["answers_known"]
    assert result["directions"]["ab"]["scores"]["cycle"]["images"] == 3
    assert result["directions"]["ab"]["scores"]["identity"]["images"] == 2  # real images of B
    with pytest.raises(ValueError, match="`metrics` l1 cannot be computed here"):
        evaluate_model(Shifting(), data, open_instruments(["cycle", "l1"]))
    with pytest.raises(ValueError, match="cycle cannot be computed here: the model does not translate back"):
        evaluate_model(Shifting(("ab",)), data, open_instruments(["cycle"]))


def test_distances_are_those_of_the_metrics_and_bear_the_network_s_name(tmp_path):
    path = save_features(tmp_path / "tiny.keras")
    real, inputs = random_images(7, seed=1), random_images(6, seed=2) / 2
    instruments = open_instruments(["frechet", "kernel"], path)
    scores = evaluate_model(Shifting(("ab",)), ArrayData(inputs, real, paired=False), instruments)
    scores = scores["directions"]["ab"]["scores"]
    extractor = feature_extractor(path)
    frechet, kernel = FrechetDistance(extractor), KernelDistance(extractor, subset_size=3)
    for metric in (frechet, kernel):
        metric.update_state(real, inputs + np.float32(0.5))
    assert scores["frechet"]["value"] == pytest.approx(float(frechet.result()), rel=1e-5)
    assert (scores["kernel"]["value"], scores["kernel"]["deviation"]) == pytest.approx(
        kernel.mean_and_deviation(), rel=1e-4
    )
    assert scores["frechet"]["name"] == "Fréchet distance with tiny features"
    counts = {name: scores["kernel"][name] for name in ("real", "translated", "resize", "subsets", "subset_size")}
    assert counts == {"real": 7, "translated": 6, "resize": "legacy_pytorch", "subsets": 100, "subset_size": 3}


def test_other_features_are_never_called_fid(tmp_path):
    with pytest.raises(ValueError, match="`metrics` fid is of Inception's features alone; with others it is frechet"):
        open_instruments(["fid"], save_features(tmp_path / "tiny.keras"))


def test_without_inception_the_rest_is_measured_unless_it_was_asked_for(monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(inception.keras.utils, "get_file", offline)
    instruments = open_instruments(("fid", "kid", "cycle"), required=False)
    assert instruments.metrics == ("cycle",)
    reason = instruments.left_out["fid"]
    assert "no network" in reason and inception.WEIGHTS_URL in reason and reason.endswith("as `features`")
    with pytest.raises(
        ValueError, match="`metrics` kid cannot be computed: Inception's weights could not be downloaded"
    ):
        open_instruments(("kid",))
    with pytest.raises(ValueError, match="`metrics` must be one of fid, kid"):
        open_instruments(("fids",))


def test_each_image_is_taken_once_and_a_smaller_count_is_spread():
    data = ArrayData(flat(*range(6)), flat(*range(4)), paired=False)
    seen = [(sorted(example.images), example.names.get("a")) for example in examples(data)]
    assert [letters for letters, _ in seen] == [["a", "b"]] * 4 + [["a"]] * 2
    spread = list(examples(data, 2))
    assert [example.names["a"] for example in spread if "a" in example.images] == ["a0.png", "a3.png"]
    assert [example.names["b"] for example in spread if "b" in example.images] == ["b0.png", "b2.png"]
    np.testing.assert_allclose(mean_images(data)["a"], flat(2.5)[0])


@pytest.mark.parametrize("model", ["cyclegan", "pix2pix", "unit", "pix2pixhd"])
def test_models_are_measured_and_stay_as_they_are(model):
    networks = {key: value for key, value in SMALL.items() if key != "pool_size"}
    images_a = random_images(3, 32)
    if model == "pix2pixhd":
        images_a = np.random.RandomState(0).randint(0, 3, (3, 32, 32, 1)).astype("float32") / 127.5 - 1
        settings = {"label_classes": 3, "downsamplings": 1, "residual_blocks": 1, "lambda_perceptual": 0}
        model = Pix2PixHD(**networks | settings | {"image_shape": (32, 32, 1), "channels_b": 3})
    else:
        kinds = {"cyclegan": (CycleGAN, {}), "pix2pix": (Pix2Pix, {"downsamplings": 3}), "unit": (UNIT, SMALL_UNIT)}
        kind, settings = kinds[model]
        model = kind(**networks | settings)
    model.compile()
    before = [variable.numpy() for variable in model.variables]
    gallery = Gallery(model, {"a": 3, "b": 3}, rows=2)
    result = measured(model, ArrayData(images_a, random_images(3, 32, seed=1)), gallery=gallery)
    for direction in model.directions:
        assert result["directions"][direction]["scores"]["l1"]["images"] == 3
        assert len(gallery.entries(direction)["best"]) == 2
    assert ("cycle" in result["left_out"]) == (len(model.directions) == 1)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


def test_memory_does_not_grow_with_the_images(monkeypatch, tmp_path):
    living, most = 0, 0

    def counted(value):
        nonlocal living, most
        image = np.full((16, 16, 3), value, np.float32)
        living += 1
        most = max(most, living)
        weakref.finalize(image, died)
        return image

    def died():
        nonlocal living
        living -= 1

    def many(*_):
        for index in range(500):
            letters = {"a": counted(index / 500), "b": counted(-index / 500)}
            yield Example(index, letters, {"a": str(index), "b": str(index)})
            del letters

    data = ArrayData(flat(*[0] * 500, size=16), flat(*[0] * 500, size=16))
    evaluator = Evaluator(
        Shifting(), data, open_instruments(("frechet", *NO_NETWORKS), save_features(tmp_path / "f.keras"))
    )
    monkeypatch.setattr(scores_module, "examples", many)
    gallery = Gallery(Shifting(), {"a": 500, "b": 500}, rows=3)
    result = evaluator.evaluate(gallery=gallery)
    assert result["directions"]["ab"]["scores"]["l1"]["images"] == 500
    assert result["directions"]["ab"]["scores"]["diversity"]["images"] == 64
    assert most <= 6 and sum(map(len, gallery.entries("ab").values())) == 9


def test_the_gallery_has_the_best_the_worst_and_some_at_random():
    gallery = Gallery(Shifting(), {"a": 6, "b": 6}, rows=2)
    for index, score in enumerate((0.5, 0.1, 0.9, 0.3, None, 0.7)):
        image = flat(0.0, size=300)[0][:, :100]
        gallery.add("ab", index, f"{index}.png", score, image, image, image, "b")
    found = gallery.entries("ab")
    assert [entry["score"] for entry in found["best"]] == [0.1, 0.3]
    assert [entry["score"] for entry in found["worst"]] == [0.9, 0.7]
    assert len(found["random"]) == 2
    assert [pixels.shape for pixels in found["best"][0]["images"]] == [(192, 64, 3)] * 3
