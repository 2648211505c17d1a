"""Label maps in an evaluation, with segmenters whose answers are known by heart."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL
from evaluating_fakes import ArrayData, Shifting, save_features

from tf_cyclegan import Pix2PixHD
from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.evaluation import evaluate_model, open_instruments, open_segmenter, read_palette, report_page
from tf_cyclegan.networks.instance_maps import to_ids

METRICS = ["pixel_accuracy", "class_accuracy", "class_iou"]
# Black is class 0, red 1, green 2: the scores of [-1, 1] are 0, red and green.
COLORS = np.array([[-1, -1, -1], [1, -1, -1], [-1, 1, -1]], np.float32)
KERNEL = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
IDS = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 255, 7]])
GRAYS = "0 0 0\n160 160 160\n255 255 255\n"


class Painting(Shifting):
    """Paints label maps, class 2 in the color of class 1."""

    takes_ids, label_classes = True, 3

    def __init__(self):
        inputs = keras.Input((None, None, 1))
        self.directions = ("ab",)
        self._network = keras.Model(inputs, keras.layers.Concatenate()([inputs] * 3))

    def translate(self, images, direction="ab"):
        ids = to_ids(images[..., 0])
        return tf.gather(COLORS, tf.where(ids == 2, 1, tf.minimum(ids, 2)))


def save_segmenter(path, kernel=KERNEL, bias=(0, 0, 0), strides=1, size=None):
    """One convolution of a pixel: scores of three classes from its color."""
    kernel = np.asarray(kernel, np.float32)
    layer = keras.layers.Conv2D(kernel.shape[1], 1, strides)
    inputs = keras.Input((size, size, kernel.shape[0]))
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([kernel[None, None], np.asarray(bias, np.float32)])
    model.save(path)
    return path


def save_text(path, text):
    path.write_text(text, "utf-8")
    return path


def of_ids(ids):
    return (np.asarray(ids, np.float32) / 127.5 - 1)[None, ..., None]


def gray(*rows):
    return np.repeat(np.array(rows, np.float32)[None, ..., None], 3, axis=-1)


def painted():
    """A label map and its photo, in which one pixel of class 0 is green."""
    photo = COLORS[np.where(IDS < 3, IDS, 0)]
    photo[0, 0] = COLORS[2]
    return ArrayData(of_ids(IDS), photo[None])


def scores(model, data, path, **settings):
    return evaluate_model(model, data, open_instruments(METRICS, segmenter=path, required=False, **settings))


@pytest.mark.parametrize("low, high", [(-1, 1), (0, 255), (0, 1)])
def test_photos_from_ids_by_hand(low, high, tmp_path):
    half = (high - low) / 2  # the range's own middle is where a color is on
    kernel, bias = np.array(KERNEL) / half, (0, -low / half - 1, -low / half - 1)
    path = save_segmenter(tmp_path / "colors.keras", kernel, bias)
    found = scores(Painting(), painted(), path, segmenter_range=(low, high))["directions"]["ab"]
    # 8 pixels of class 0 and 4 of class 1 are right, 2 of class 2 look like 1; 255 and 7 do not count.
    records = found["scores"]
    assert [records[name]["value"] for name in METRICS] == pytest.approx([12 / 14, 2 / 3, (1 + 4 / 6 + 0) / 3])
    # In the photo one of the 8 looks like class 2.
    expected = [13 / 14, (7 / 8 + 1 + 1) / 3, (7 / 8 + 1 + 2 / 3) / 3]
    assert [records[name]["ceiling"] for name in METRICS] == pytest.approx(expected)
    assert records["class_iou"]["images"] == 1 and records["class_iou"]["pixels"] == 14
    assert records["class_iou"]["segmenter"] == "colors.keras" and records["class_iou"]["labels"] == "ids in domain A"
    last = {"class": 2, "pixels": 2, "accuracy": 0, "iou": 0, "accuracy_ceiling": 1, "iou_ceiling": 2 / 3}
    assert found["classes"][2] == pytest.approx(last) and len(found["classes"]) == 3


def test_pixels_of_all_images_are_counted_together(tmp_path):
    ids = np.stack([np.zeros((4, 4)), np.full((4, 4), 2)])[..., None]
    ids[1, 1:] = 255
    data = ArrayData(ids.astype(np.float32) / 127.5 - 1, np.full((2, 4, 4, 3), -1, np.float32))
    found = scores(Painting(), data, save_segmenter(tmp_path / "colors.keras"))["directions"]["ab"]["scores"]
    assert found["pixel_accuracy"]["value"] == pytest.approx(16 / 20)  # a mean of the images were 1/2


def test_a_coarse_map_of_scores_comes_to_the_label_map_by_the_nearest(tmp_path):
    segmenter = open_segmenter(save_segmenter(tmp_path / "coarse.keras", strides=2))
    classes = np.array([[0, 1], [2, 0]])
    photo = COLORS[classes].repeat(2, 0).repeat(2, 1)
    assert segmenter(photo, (4, 4)).tolist() == classes.repeat(2, 0).repeat(2, 1).tolist()
    assert segmenter(photo, (3, 2)).tolist() == [[0, 1], [2, 0], [2, 0]]


def test_colors_are_found_in_their_domain_and_compared_both_ways(tmp_path):
    labels = gray([-1, -1], [160 / 127.5 - 1, 1])
    photos = gray([-1, -0.5], [-0.5, 0.4])
    palette = save_text(tmp_path / "grays.txt", GRAYS)
    # What is nearest to -1, -0.25 and 0.5, by 2cx - c^2.
    path = save_segmenter(tmp_path / "levels.keras", [[-2, -0.5, 1], [0] * 3, [0] * 3], (-1, -1 / 16, -1 / 4))
    result = scores(Shifting(), ArrayData(photos, labels), path, palette=palette)
    # Photo to labels: 64, 128, 128, 242 of 255 are black, gray, gray, white; the second is to be black.
    to_labels = result["directions"]["ab"]["scores"]
    assert [to_labels[name]["value"] for name in METRICS] == pytest.approx([3 / 4, 5 / 6, (1 / 2 + 1 / 2 + 1) / 3])
    assert "ceiling" not in to_labels["class_iou"] and "segmenter" not in to_labels["class_iou"]
    assert to_labels["class_iou"]["labels"] == "colors of grays.txt in domain B"
    # Labels to photos: -1, -1, -0.25, 0.5 are seen as they were meant; of the photos one is not.
    of_labels = result["directions"]["ba"]["scores"]
    assert [of_labels[name]["value"] for name in METRICS] == [1, 1, 1]
    assert of_labels["pixel_accuracy"]["ceiling"] == pytest.approx(3 / 4)

    result = scores(Shifting(), ArrayData(photos, labels, paired=False), path, palette=palette)
    assert "ceiling" not in result["directions"]["ba"]["scores"]["class_iou"]
    assert "not pairs" in result["left_out"]["class_iou"] and result["directions"]["ab"]["scores"] == {}


def test_without_a_segmenter_pairs_and_a_palette_do_for_labels(tmp_path):
    # Black does not count, and no prediction can be that.
    palette = save_text(tmp_path / "grays.txt", "255 0 0 0\n0 160 160 160\n1 255 255 255")
    data = ArrayData(gray([-1, -0.5], [-0.5, 0.4]), gray([-1, 1], [160 / 127.5 - 1, 1]))
    result = scores(Shifting(), data, None, palette=palette)
    record = result["directions"]["ab"]["scores"]["pixel_accuracy"]
    assert record["value"] == pytest.approx(2 / 3) and record["pixels"] == 3
    assert result["directions"]["ba"]["scores"] == {} and "need a `segmenter`" in result["left_out"]["class_iou"]


def test_data_without_label_maps_are_not_bothered_and_models_of_ids_get_a_hint():
    data = ArrayData(gray([0, 0]), gray([0, 0]))
    assert scores(Shifting(), data, None)["left_out"] == {}
    with pytest.raises(ValueError, match="`metrics` class_iou cannot be computed here: there are no label maps"):
        evaluate_model(Shifting(), data, open_instruments(["class_iou"]))
    assert "need a `segmenter`" in scores(Painting(), painted(), None)["left_out"]["class_iou"]


def test_maps_without_a_pixel_that_counts_have_no_score(tmp_path):
    data = ArrayData(of_ids(np.full((4, 4), 255)), painted().arrays[1])
    result = scores(Painting(), data, save_segmenter(tmp_path / "colors.keras"))
    assert result["directions"]["ab"]["scores"] == {} and result["directions"]["ab"]["classes"] == []
    assert result["left_out"]["pixel_accuracy"] == "no pixel of the label maps is of a class"


def test_the_report_has_the_classes_and_says_what_the_figures_are_worth(tmp_path):
    result = scores(Painting(), painted(), save_segmenter(tmp_path / "colors.keras"))
    page = report_page(result)
    assert "FCN-8s of the papers is not part of the package" in page and "its own ceiling" in page
    assert "the segmenter on real photos" in page and "By class, A to B" in page
    assert "<tr><th>2</th><td>14.3% <small></small></td><td>0.000 <small>of 1.000</small></td>" in page
    assert "14 pixels of 3 classes, ids in domain A; segmenter colors.keras" in page
    without = scores(Painting(), painted(), None)
    assert "FCN-8s" not in report_page(without) and "By class" not in report_page(without)


# ---- the command ----


@pytest.fixture
def city(tmp_path):
    """A pix2pixHD of ids in a file of its own, two label maps with photos in their colors, and a segmenter of those."""
    settings = {"label_classes": 3, "downsamplings": 1, "residual_blocks": 1, "lambda_perceptual": 0, "scales": 1}
    model = Pix2PixHD(**SMALL | settings | {"image_shape": (32, 32, 1), "pool_size": 0})
    model.save(tmp_path / "city.keras")
    ids = np.random.RandomState(0).randint(0, 3, (2, 32, 32)).astype(np.uint8)
    for kind in ("label", "img"):
        (tmp_path / "city" / f"test_{kind}").mkdir(parents=True)
        for index, label in enumerate(ids):
            picture = label[..., None] if kind == "label" else images.to_uint8(COLORS[label])
            images.save_png(tmp_path / "city" / f"test_{kind}" / f"{index}.png", picture)
    save_segmenter(tmp_path / "colors.keras")
    return tmp_path, model, ids


def run(folder, *flags):
    base = [str(folder / "city.keras"), f"--dataset={folder / 'city'}", f"--metrics={','.join(METRICS)}"]
    return main(["evaluate", *base, *flags, "-o", str(folder / "out")])


def test_the_command_judges_a_model_of_ids(city, capfd):
    folder, model, ids = city
    assert run(folder, f"--segmenter={folder / 'colors.keras'}") == 0
    found = json.loads((folder / "out" / "evaluation.json").read_text())["directions"]["ab"]
    outputs = np.concatenate([model.translate(of_ids(label)) for label in ids])
    levels = images.to_float(images.to_uint8(outputs))
    seen = np.argmax(levels @ np.array(KERNEL, np.float32), axis=-1)
    assert found["scores"]["pixel_accuracy"]["value"] == pytest.approx((seen == ids).mean())
    assert [found["scores"][name]["ceiling"] for name in METRICS] == [1, 1, 1]
    assert sum(row["pixels"] for row in found["classes"]) == ids.size
    output = capfd.readouterr().out
    assert "Class IoU" in output and "its own ceiling" in output
    assert "By class" in (folder / "out" / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    "kernel, flags, message",
    [
        (
            np.eye(3, 4),
            [],
            "--segmenter must tell the 3 classes of the label maps (ids in domain A)",
        ),
        (np.eye(1, 3), [], "--segmenter must take images of 3 channels, as the translations are. Received: s.keras"),
        (KERNEL, ["--segmenter-range", "1", "-1"], "--segmenter-range must be LOW HIGH with LOW below HIGH"),
        (KERNEL, ["--palette=PALETTE"], "--palette is of color-coded label maps, and this model takes ids"),
        (KERNEL, ["--palette=nowhere.txt"], "--palette cannot be read: "),
    ],
)
def test_what_does_not_fit_is_one_line(kernel, flags, message, city, capfd):
    folder, _, _ = city
    path = save_segmenter(folder / "s.keras", kernel, np.zeros(np.shape(kernel)[1]))
    palette = save_text(folder / "grays.txt", GRAYS)
    flags = [flag.replace("PALETTE", str(palette)) for flag in flags]
    assert run(folder, f"--segmenter={path}", *flags) == 2
    error = capfd.readouterr().err
    assert message in error and len(error.splitlines()) == 1 and not (folder / "out").exists()


def test_what_is_no_segmenter_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`segmenter` must be a .keras file.*there is no such file"):
        open_segmenter(tmp_path / "none.keras")
    with pytest.raises(ValueError, match="`segmenter` cannot be read"):
        open_segmenter(save_text(tmp_path / "text.keras", "no model"))
    with pytest.raises(ValueError, match=r"`segmenter` must take images .* shapes \[\(None, 8, 8, 3\), \(None, 4\)\]"):
        open_segmenter(save_features(tmp_path / "features.keras"))
    with pytest.raises(ValueError, match="`segmenter` must take images of the data's size.*for 8x8 and images of 4x4"):
        scores(Painting(), painted(), save_segmenter(tmp_path / "fixed.keras", size=8))


def test_a_segmenter_that_fails_at_a_size_is_named(tmp_path):
    inputs = keras.Input((None, None, 3))
    coarse = keras.layers.UpSampling2D(2)(keras.layers.AveragePooling2D(2)(inputs))
    keras.Model(inputs, keras.layers.Add()([inputs, coarse])).save(tmp_path / "even.keras")
    with pytest.raises(ValueError, match="`segmenter` must take .* even.keras, which fails at 5x5 pixels"):
        open_segmenter(tmp_path / "even.keras")(np.zeros((5, 5, 3)), (5, 5))


def test_a_segmenter_and_a_palette_need_label_maps(tmp_path):
    data = ArrayData(gray([0.9, 0.8]), gray([-0.5, -0.4]))
    path = save_segmenter(tmp_path / "colors.keras")
    with pytest.raises(ValueError, match="`segmenter` needs label maps.*no label maps in arrays"):
        scores(Shifting(), data, path)
    palette = save_text(tmp_path / "colors.txt", "0 0 0\n255 0 0")
    with pytest.raises(ValueError, match=r"`palette` must have the colors.*whose distance is \d+ in A, \d+ in B"):
        scores(Shifting(), data, path, palette=palette)
    with pytest.raises(ValueError, match="and the data are gray"):
        scores(Shifting(channels=1), ArrayData(data.arrays[0][..., :1], data.arrays[1][..., :1]), None, palette=palette)


# ---- palettes ----


def test_palettes_have_ids_or_count_their_lines(tmp_path):
    plain = read_palette(save_text(tmp_path / "plain.txt", "# facades\n\n10 20 30  # wall\n40 50 60\n"))
    assert plain.ids.tolist() == [0, 1] and plain.colors.tolist() == [[10, 20, 30], [40, 50, 60]]
    assert plain.classes == 2 and plain.name == "plain.txt"
    numbered = read_palette(save_text(tmp_path / "numbered.txt", "7 10 20 30\n0 40 50 60\n255 0 0 0\n7 1 2 3\n"))
    assert numbered.ids.tolist() == [7, 0, 255, 7] and numbered.classes == 8
    image = images.to_float(np.array([[[12, 20, 30], [41, 52, 60], [0, 0, 1], [1, 2, 4]]]))
    assert numbered.labels(image).tolist() == [[7, 0, 255, 7]]
    assert numbered.predictions(image).tolist() == [[7, 0, 7, 7]]


@pytest.mark.parametrize(
    "text, message",
    [
        ("1 2 3\n4 5", "lines of one kind.*'4 5' in line 2"),
        ("1 2 3\n4 5 6 7", "lines of one kind.*'4 5 6 7' in line 2"),
        ("1 2 256\n4 5 6", "from 0 to 255. Received: '1 2 256' in line 1"),
        ("1 2 -3\n4 5 6", "from 0 to 255"),
        ("red green blue", "lines of one kind"),
        ("1 2 3\n4 5 6\n1 2 3", "each color once. Received: 1 2 3 more than once"),
        ("1 2 3", "from 2 to 255 classes. Received: 1 colors"),
        ("", "from 2 to 255 classes. Received: 0 colors"),
        ("0 1 2 3\n255 4 5 6", "from 2 to 255 classes"),
    ],
)
def test_a_palette_that_cannot_be_read_is_one_line(text, message, tmp_path):
    with pytest.raises(ValueError, match=f"`palette` must have .*{message}") as caught:
        read_palette(save_text(tmp_path / "wrong.txt", text))
    assert "\n" not in str(caught.value)


def test_a_palette_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ValueError, match="`palette` cannot be read"):
        read_palette(tmp_path / "picture.png")
