"""The demo page in a real browser, in front of the real server."""

import base64
import functools
import http.server
import importlib.resources
import io
import json
import shutil
import threading

import numpy as np
import pytest
import serving_models
from page_driver import (
    PREDICT,
    assert_seen,
    choose,
    drop,
    encode,
    halves,
    hold,
    of_label_maps,
    paste,
    pixels,
    swapped,
    transfer,
    upload,
    wait,
)
from PIL import Image
from serving_process import Server

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra [test])")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")

PAGE = importlib.resources.files("tf_cyclegan.serving") / "page"
POLICY = "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--force-color-profile=srgb"]
# An error status is itself a line in the console; whatever else is there is a fault.
EXPECTED_CONSOLE = ("Failed to load resource: the server responded with a status of", "Failed to load resource: net::")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The server: from picture A to B is the negative, back exchanges red and blue."""
    directory = tmp_path_factory.mktemp("models")
    serving_models.write(directory / "picture_ab" / "1", serving_models.negative())
    serving_models.write(directory / "picture_ba" / "1", swapped())
    serving_models.write(directory / "half_plus_two" / "1", serving_models.half_plus(2))
    with Server(directory, "--cors") as server:
        yield server.url


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens an address as a new visitor; at the end, nothing may have gone wrong unseen or left the server."""
    contexts, faults = [], []

    def open_page(address, origins=None, **options):
        context = browser.new_context(
            reduced_motion="reduce", **{"viewport": {"width": 1100, "height": 800}, **options}
        )
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("console", lambda message: message.text.startswith(EXPECTED_CONSOLE) or faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        allowed = (*(origins or [address]), "blob:", "data:")
        page.on("request", lambda request: request.url.startswith(allowed) or faults.append(request.url))
        page.on("response", lambda reply: is_missing(reply) and faults.append(f"{reply.status} {reply.url}"))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def is_missing(reply):
    """Whether a file of the page is not there; config.json and models fail on purpose in some tests."""
    return reply.status >= 400 and not reply.url.endswith((":predict", "/config.json"))


@pytest.fixture
def page(visit, url):
    page = visit(url)
    wait(page, "empty")
    return page


# ---- From a picture to its translation ------------------------------------------------------------------------------


@pytest.mark.parametrize("bring", [choose, drop, paste])
def test_a_picture_is_translated_exactly(page, bring):
    bring(page, encode(halves()))
    wait(page, "done")
    np.testing.assert_array_equal(pixels(page, "original"), halves())
    np.testing.assert_array_equal(pixels(page, "translated"), 255 - halves())
    assert page.inner_text("#status").startswith("64 × 40 pixels in ")


def test_label_maps_are_sent_as_they_are(visit, tmp_path):
    serving_models.write(tmp_path / "maps_ab" / "1", of_label_maps())
    labels = np.arange(20 * 300).reshape(20, 300) % 200
    with Server(tmp_path) as server:
        page = visit(server.url)
        page.select_option("#side", "128")
        choose(page, encode(labels.astype(np.uint8)))
        wait(page, "done")
        np.testing.assert_array_equal(pixels(page, "translated")[..., 0], 255 - labels)


def test_the_button_opens_the_file_dialog(page):
    with page.expect_file_chooser() as dialog:
        page.get_by_role("button", name="Choose an image").click()
    dialog.value.set_files(upload(encode(halves())))
    wait(page, "done")


def test_a_dragged_file_is_welcomed(page):
    page.dispatch_event("#panel", "dragover", {"dataTransfer": transfer(page, b"")})
    assert "dropping" in page.get_attribute("#panel", "class")
    page.dispatch_event("#panel", "dragleave", {})
    assert "dropping" not in page.get_attribute("#panel", "class")


def test_the_other_direction_translates_the_same_picture_again(page):
    choose(page, encode(halves()))
    wait(page, "done")
    page.get_by_role("radio", name="A to B").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="B to A").is_checked()
    page.wait_for_selector("#download[download='photo_picture_ba.png']")
    np.testing.assert_array_equal(pixels(page, "original"), halves())
    np.testing.assert_array_equal(pixels(page, "translated"), halves()[..., ::-1])


def test_samples_are_of_the_domain_that_is_translated(page):
    samples = page.locator(".sample")
    names = samples.evaluate_all("buttons => buttons.map((button) => button.dataset.url)")
    assert len(names) == len(list((PAGE / "samples").glob("*_a.png"))) >= 3
    assert all(name.endswith("_a.png") for name in names)
    samples.nth(1).click()
    wait(page, "done")
    assert samples.nth(1).get_attribute("aria-pressed") == "true"
    np.testing.assert_array_equal(pixels(page, "original"), sample(names[1]))
    page.get_by_role("radio", name="B to A").check()
    page.wait_for_selector("#download[download$='_picture_ba.png']")
    np.testing.assert_array_equal(pixels(page, "original"), sample(names[1].replace("_a.png", "_b.png")))
    assert page.locator(".sample").nth(1).get_attribute("aria-pressed") == "true"


def test_the_bundled_model_translates_a_sample_by_one_click(visit, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with Server(None) as server:
        page = visit(server.url)
        wait(page, "empty")
        page.get_by_role("button", name="owl").click()
        wait(page, "done")
        assert page.inner_text("#status").startswith("64 × 64 pixels in ")
        assert not np.array_equal(pixels(page, "translated"), pixels(page, "original"))
        page.get_by_role("button", name="kiwi fruit").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#download[download='kiwi-fruit_a_emoji_ab.png']")


def sample(address):
    return np.asarray(Image.open(io.BytesIO((PAGE / "samples" / address.split("/")[-1]).read_bytes())).convert("RGB"))


def test_what_is_sent_is_upright_and_no_larger_than_asked_for(page):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: what is stored as the left side is the top
    requests = []
    page.on("request", lambda request: request.method == "POST" and requests.append(request.post_data_json))
    choose(page, encode(halves(800, 1600), "JPEG", exif=exif, quality=95), "photo.jpg")
    wait(page, "done")
    page.select_option("#side", "128")
    page.wait_for_selector("#status:has-text('64 × 128')")
    sizes = [Image.open(io.BytesIO(base64.b64decode(request["instances"][0]["b64"]))).size for request in requests]
    assert sizes == [(256, 512), (64, 128)]
    top, bottom = pixels(page, "original")[[16, 112], 32]
    assert top[0] > top[2] and bottom[2] > bottom[0]


def test_transparency_is_laid_on_white(page):
    image = np.dstack([halves(), np.full((40, 64), 255, np.uint8)])
    image[:, 32:, 3] = 0
    choose(page, encode(image))
    wait(page, "done")
    expected = halves()
    expected[:, 32:] = 255
    np.testing.assert_array_equal(pixels(page, "original"), expected)


def test_a_picture_too_large_for_a_request_goes_as_jpeg(visit, url):
    page = visit(url)
    wait(page, "empty")
    config = page.evaluate("fetch('/demo/config.json').then((response) => response.json())")
    page.route("**/demo/config.json", lambda route: route.fulfill(json={**config, "max_body_bytes": 100_000}))
    page.reload()
    wait(page, "empty")
    noise = np.random.RandomState(0).randint(0, 255, (256, 256, 3)).astype(np.uint8)
    with page.expect_request(PREDICT) as request:
        choose(page, encode(noise))
    data = base64.b64decode(request.value.post_data_json["instances"][0]["b64"])
    assert Image.open(io.BytesIO(data)).format == "JPEG" and len(request.value.post_data_buffer) < 100_000
    wait(page, "done")


def test_the_translation_downloads_as_a_png(page):
    choose(page, encode(halves()), "my holiday.jpeg")
    wait(page, "done")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "my holiday_picture_ab.png"
    with Image.open(download.value.path()) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), 255 - halves())


# ---- Comparing ------------------------------------------------------------------------------------------------------


def test_the_line_moves_by_keyboard_and_by_mouse(page):
    choose(page, encode(np.full((64, 96, 3), (200, 40, 10), np.uint8)))
    wait(page, "done")
    original, translated = (200, 40, 10), (55, 215, 245)
    assert_seen(page, 0.3, original)
    assert_seen(page, 0.7, translated)
    slider = page.get_by_role("slider", name="Position of the line between original and translation")
    slider.focus()
    page.keyboard.press("Home")
    assert_seen(page, 0.05, translated)
    page.keyboard.press("End")
    assert_seen(page, 0.95, original)
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert_seen(page, 0.75, original)
    assert_seen(page, 0.85, translated)
    assert slider.get_attribute("aria-valuetext") == "80 % original, 20 % translated"
    box = page.locator("#picture").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.8 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.2 * box["width"], middle, steps=4)
    page.mouse.up()
    assert_seen(page, 0.15, original)
    assert_seen(page, 0.25, translated)


# ---- When it takes long or fails ------------------------------------------------------------------------------------


def test_a_translation_can_be_canceled_and_tried_again(page):
    held = hold(page)
    choose(page, encode(halves()))
    wait(page, "working")
    assert page.get_by_role("progressbar", name="Translating").is_visible()
    assert page.get_by_role("status").inner_text() == "Translating…"
    page.wait_for_selector("#clock:has-text('s')")
    page.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    wait(page, "notice")
    assert "Canceled" in page.get_by_role("alert").inner_text()
    assert page.evaluate("document.activeElement.textContent") == "Try again"  # the keyboard goes on from there
    page.keyboard.press("Enter")
    wait(page, "done")
    assert len(held) == 1
    np.testing.assert_array_equal(pixels(page, "translated"), 255 - halves())


def test_a_new_picture_takes_the_place_of_one_in_work(page):
    held = hold(page)
    choose(page, encode(np.zeros((32, 32, 3), np.uint8)), "first.png")
    wait(page, "working")
    choose(page, encode(halves()), "second.png")
    wait(page, "done")
    late = base64.b64encode(encode(np.zeros((32, 32, 3), np.uint8))).decode()
    held[0].fulfill(json={"predictions": [{"b64": late}]})  # an answer that nobody waits for any more
    page.wait_for_timeout(300)
    assert page.get_attribute("#download", "download") == "second_picture_ab.png"
    np.testing.assert_array_equal(pixels(page, "translated"), 255 - halves())


def test_bytes_that_are_no_image_are_named_and_not_sent(page):
    sent = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request.url))
    choose(page, b"GIF89a no, not really", "notes.png")
    wait(page, "notice")
    assert page.get_by_role("alert").inner_text().startswith("“notes.png” is not an image")
    assert sent == [] and not page.locator("#retry").is_visible()
    choose(page, encode(halves()))
    wait(page, "done")


def test_a_refusal_is_shown_in_the_words_of_the_server(page):
    page.get_by_role("radio", name="B to A").check()
    choose(page, encode(halves(9, 9)))
    wait(page, "notice")
    title, text = page.locator("#notice-title").inner_text(), page.locator("#notice-detail").inner_text()
    assert (title, text) == ("The server refused this image", "a side below 16 pixels")
    assert not page.locator("#retry").is_visible()  # it would only be refused again


@pytest.mark.parametrize(
    "reply, words",
    [
        (
            {"status": 503, "headers": {"Retry-After": "2"}, "json": {"error": "full"}},
            ["busy", "full", "again in 2 s."],
        ),
        ({"status": 504, "json": {"error": "past 30 s"}}, ["took too long", "past 30 s", "smaller longest side"]),
        ({"status": 502, "body": "<html>"}, ["The server failed", "HTTP 502 Bad Gateway"]),
        ({"status": 200, "json": {"predictions": [[0.5]]}}, ["not an image", "picture_ab"]),
        ({"status": 200, "json": {"predictions": [{"b64": "AAAA"}]}}, ["not an image", "3 bytes"]),
        (None, ["cannot be reached"]),
    ],
)
def test_a_failure_is_explained_and_can_be_tried_again(page, reply, words):
    page.route(PREDICT, lambda route: route.fulfill(**reply) if reply else route.abort())
    choose(page, encode(halves()))
    wait(page, "notice")
    text = page.get_by_role("alert").inner_text()
    assert all(word in text for word in words), text
    page.unroute(PREDICT)
    page.get_by_role("button", name="Try again").click()
    wait(page, "done")


@pytest.mark.parametrize(
    "reply, words",
    [
        ({"json": {"models": [{"name": "half_plus_two", "bytes": False}]}}, "No image model is served here"),
        ({"status": 500, "body": "oops"}, "cannot read demo/config.json"),
    ],
)
def test_a_server_without_image_models_is_explained(visit, url, reply, words):
    page = visit(url)
    wait(page, "empty")
    page.route("**/demo/config.json", lambda route: route.fulfill(**reply))
    page.reload()
    wait(page, "notice")
    assert words in page.get_by_role("alert").inner_text()
    assert page.locator("#panel button:visible").count() == 0


# ---- Everywhere -----------------------------------------------------------------------------------------------------


def test_models_that_say_their_domains_are_labeled_so(visit, url):
    page = visit(url)
    wait(page, "empty")
    pair = [(f"{name}_{way}", f"{name}_{way[::-1]}") for name in ("horse2zebra", "emoji") for way in ("ab", "ba")]
    models = [{"name": name, "pair": other, "bytes": True} for name, other in pair]
    models.append({"name": "sketch", "pair": None, "bytes": True})
    page.route("**/demo/config.json", lambda route: route.fulfill(json={"models": models}))
    page.reload()
    wait(page, "empty")
    assert page.get_by_role("radio").evaluate_all("radios => radios.map((radio) => radio.ariaLabel)") == [
        "horse to zebra",
        "zebra to horse",
    ]
    page.get_by_label("Model").select_option("emoji")  # the bundled weights
    assert page.get_by_role("radio", name="flat to shaded").is_checked()
    page.get_by_label("Model").select_option("sketch")
    assert page.get_by_role("radio").count() == 0  # it has one direction
    page.get_by_text("Use it from code").click()
    assert f'Client("{url}").translate("photo.jpg", "sketch")' in page.inner_text("#code")


def test_a_phone_never_scrolls_sideways(visit, url):
    page = visit(url, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)

    def fits():
        return page.evaluate("document.documentElement.scrollWidth") <= 360

    wait(page, "empty")
    page.get_by_text("Use it from code").tap()
    assert fits()
    choose(page, encode(halves(40, 400)))
    wait(page, "done")
    assert fits()
    sizes = page.locator("button:visible, a:visible, select:visible").evaluate_all(
        "controls => controls.map((control) => Math.min(control.offsetWidth, control.offsetHeight))"
    )
    assert min(sizes) >= 40  # a finger's width
    choose(page, b"junk", "a name without any end " * 8 + ".png")
    wait(page, "notice")
    assert fits()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_readable_in_light_and_dark(visit, url, scheme):
    page = visit(url, color_scheme=scheme)
    wait(page, "empty")
    pairs = {"ink": "page", "muted": "panel", "accent": "page", "alert": "panel"}
    values = page.evaluate("""() => {
        const style = getComputedStyle(document.documentElement);
        return Object.fromEntries(["page", "panel", "ink", "muted", "accent", "alert"].map(
            (name) => [name, style.getPropertyValue("--" + name).trim()]));
    }""")
    brightness = {name: luminance(value) for name, value in values.items()}
    assert (brightness["page"] > brightness["ink"]) == (scheme == "light")
    for front, back in pairs.items():
        low, high = sorted([brightness[front], brightness[back]])
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{front} on {back}"  # WCAG 2.2, 1.4.3


def luminance(color):
    """The relative luminance of WCAG 2.2 of `#rrggbb`."""
    values = np.frombuffer(bytes.fromhex(color.removeprefix("#")), np.uint8) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("path", ["/", "/demo/page.js", "/demo/style.css", "/demo/samples/owl_a.png"])
def test_the_policy_of_the_page_is_strict(browser, url, path):
    context = browser.new_context()
    reply = context.request.get(url + path)
    assert (reply.status, reply.headers["content-security-policy"]) == (200, POLICY)
    context.close()


def test_the_page_works_from_elsewhere_with_a_server_that_allows_it(visit, url, tmp_path):
    """As beside TensorFlow Serving: a static copy of the page, with a config.json that says where the server is."""
    shutil.copytree(PAGE, tmp_path / "demo")
    shutil.copy(PAGE / "index.html", tmp_path)
    config = {"server": url, "models": [{"name": "picture_ab", "bytes": True}]}
    (tmp_path / "demo" / "config.json").write_text(json.dumps(config))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, args=(0.01,), daemon=True).start()
        here = f"http://127.0.0.1:{files.server_port}"
        page = visit(here, origins=[here, url])
        wait(page, "empty")
        assert page.inner_text("#status") == f"Images go to {url.removeprefix('http://')} and nowhere else."
        choose(page, encode(halves()))
        wait(page, "done")
        np.testing.assert_array_equal(pixels(page, "translated"), 255 - halves())
        files.shutdown()
