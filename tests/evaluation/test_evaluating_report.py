"""The report as a file, and in a real browser without a network."""

import base64
import html.parser
import shutil

import numpy as np
import pytest
from conftest import random_images
from evaluating_fakes import ArrayData, Shifting

from tf_cyclegan.evaluation import Gallery, diagnose, evaluate_model, open_instruments, report_page
from tf_cyclegan.evaluation.catalog import published_fids
from tf_cyclegan.evaluation.plotting import line_chart
from tf_cyclegan.evaluation.tables import score_rows

VOID = {"meta", "img", "br", "path", "link", "input", "source"}
EVIL = "<script>alert('&')</script>.png"
LOSSES = [
    {
        "epoch": epoch,
        "loss": 1.0,
        **{f"{kind}_{side}": 1 / (epoch + 1) for kind in ("cycle", "discriminator") for side in "ab"},
    }
    for epoch in range(5)
]
METRICS = [{"step": 10 * epoch, "l1_ab": 1 / epoch, "l1_ba": 2 / epoch} for epoch in range(1, 5)]


class Checker(html.parser.HTMLParser):
    """Notes what is open, what is loaded and what is run."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.addresses = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


class NamedData(ArrayData):
    def names(self, step):
        return [EVIL], [EVIL]


@pytest.fixture
def page():
    model, data = Shifting(), NamedData(random_images(9, 40), random_images(9, 40, seed=1))
    gallery = Gallery(model, {"a": 9, "b": 9}, rows=3)
    metrics = ("l1", "psnr", "ssim", "perceptual", "cycle", "diversity", "luminance")
    instruments = open_instruments([name for name in metrics if name != "perceptual"], required=False)
    result = evaluate_model(model, data, instruments, gallery=gallery)
    result["left_out"] = {"perceptual": "no <network>"}
    result["model"] = {"type": "CycleGAN", "checkpoint": "step_00000300.keras", "step": 300}
    settings = {"dataset": EVIL, "lambda_cycle": [10.0], "steps": None}
    return report_page(result, diagnose(result), gallery, LOSSES, METRICS, settings, title="<b>horses</b>")


def test_the_report_is_whole_and_needs_nothing_else(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == [] and "script" not in checker.tags
    assert checker.addresses and all(address.startswith("data:image/") for address in checker.addresses)
    assert "http://" not in page and "https://" not in page and "url(" not in page
    # 3 best, 3 worst, 3 at random; 3 pictures each; two directions; and two kinds of losses, one score
    assert checker.tags.count("img") == 54 + 3 and checker.tags.count("picture") == 3
    assert len(page) < 3_000_000


@pytest.mark.parametrize("answers, cycle, words", [(False, True, ", translated back"), (False, False, "")])
def test_pictures_are_named_as_they_are(answers, cycle, words):
    data = ArrayData(random_images(2, 16), random_images(2, 16, seed=1), paired=answers)
    model, instruments = Shifting(), open_instruments(["change", *["cycle"] * cycle], required=False)
    gallery = Gallery(model, {"a": 2, "b": 2})
    result = evaluate_model(model, data, instruments, gallery=gallery)
    assert f"Input, translation{words}.</p>" in report_page(result, diagnose(result), gallery, (), (), {}, title="x")


def test_what_comes_from_outside_is_escaped(page):
    assert "<script" not in page and "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;.png" in page
    assert "Evaluation of &lt;b&gt;horses&lt;/b&gt;" in page and "no &lt;network&gt;" in page


def test_the_numbers_stand_with_their_rules(page):
    for text in ("step 300", "9 images", "the input itself", "Luminance correlation", "times 127.5", "seed 0"):
        assert text in page


def test_large_photos_stay_below_the_bound():
    model, data = Shifting(("ab",)), ArrayData(random_images(4, 300), random_images(4, 300, seed=1))
    gallery = Gallery(model, {"a": 4, "b": 4}, rows=2)
    result = evaluate_model(model, data, open_instruments(["l1"]), gallery=gallery)
    assert len(report_page(result, gallery=gallery)) < 500_000  # noise, which compresses worst


def svg(address):
    return base64.b64decode(address.removeprefix("data:image/svg+xml;base64,")).decode()


def test_a_chart_needs_two_points():
    assert line_chart("Cycle", {"A": [(1, 2.0)]}, "epoch") is None
    assert line_chart("Cycle", {"A": [(1, float("nan")), (2, 1.0)]}, "epoch") is None
    chart = line_chart("Cycle", {"A": [(0, 1.0), (10, 3.0)], "B": [(0, 2.0)], "C": []}, "step")
    assert chart["labels"] == ["A", "B", "C"] and chart["text"] == "A, B, C by step, from 1 to 3"
    for scheme, colors in (("light", ("#2f5fe0", "#c2680b")), ("dark", ("#8aa8ff", "#f0a35e"))):
        picture = svg(chart[scheme])
        assert "<text" in picture and all(color in picture for color in colors)
    long = line_chart("Cycle", {"A": [(x, x % 7) for x in range(100_000)]}, "step")
    assert len(svg(long["light"])) < 15_000 and "step 99,999" in svg(long["light"])
    assert long == line_chart("Cycle", {"A": [(x, x % 7) for x in range(100_000)]}, "step")


def test_published_fids_stand_beside_those_of_the_same_images_alone():
    counts = {"a": 120, "b": 140}
    data = {"name": "cycle_gan/horse2zebra", "split": "test", "images": counts, "of": counts, "image_size": [256, 256]}
    known = published_fids(data, "ab", "legacy_pytorch")
    assert sorted(known.values()) == [62.11, 77.20]
    assert published_fids(data | {"images": {"a": 50, "b": 50}}, "ab", "legacy_pytorch") == {}
    assert published_fids(data | {"image_size": [128, 128]}, "ab", "legacy_pytorch") == {}
    fid = {"name": "FID", "value": 70.0, "published": known}
    rows = score_rows({"directions": {"ab": {"scores": {"fid": fid}}, "ba": {"scores": {}}}})
    assert [(label, cells[0][0]) for _, label, _, cells, _ in rows][1] == ("published, identity loss 0.5", "62.11")


# ---- in a browser ----


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra [test])")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on the path")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.parametrize("width, scheme", [(1100, "light"), (1100, "dark"), (390, "light")])
def test_a_browser_shows_it_without_a_network(page, browser, tmp_path, width, scheme):
    path = tmp_path / "report.html"
    path.write_text(page, "utf-8")
    faults = []
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    tab = context.new_page()
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("request", lambda request: request.url.startswith(("file:", "data:")) or faults.append(request.url))
    tab.goto(path.as_uri())
    assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert tab.evaluate("[...document.querySelectorAll('.row img')].every(image => image.naturalWidth === 40)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width  # nothing to scroll sideways
    tab.click("summary >> nth=0")
    assert tab.locator("dt", has_text="PSNR").is_visible()
    ink, paper = (tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    assert (brightness(ink) > brightness(paper)) == (scheme == "dark")
    assert abs(brightness(ink) - brightness(paper)) > 150
    context.close()
    assert faults == []


def brightness(color):
    return np.mean([float(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]])
