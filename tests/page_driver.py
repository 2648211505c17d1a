"""The actions of the tests on the demo page, their look at its pictures, and models for it."""

import base64
import io

import numpy as np
import serving_models
import tensorflow as tf
from PIL import Image

from tf_cyclegan.inference.export.image_decoding import decode_ids

PREDICT = "**/v1/models/*:predict"


def swapped():
    """Encoded image to the PNG with red and blue exchanged; refuses less than 16 pixels, as exported models do."""

    def one(encoded):
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        large = tf.debugging.Assert(tf.reduce_min(tf.shape(image)[:2]) >= 16, ["a side below 16 pixels"])
        with tf.control_dependencies([large]):
            return tf.io.encode_png(image[..., ::-1])

    def many(image_bytes):
        return {"translated_bytes": tf.map_fn(one, image_bytes, fn_output_signature=tf.string)}

    specification = serving_models.tensor("string", "image_bytes")
    return tf.Module(), {"serving_default": serving_models.signature(many, specification)}


def of_label_maps():
    """A gray PNG of ids, and nothing else, to its negative; as an exported model it takes ids as integers, too."""

    def many(image_bytes):
        negatives = tf.map_fn(lambda data: tf.io.encode_png(tf.cast(255 - decode_ids(data, 16), tf.uint8)), image_bytes)
        return {"translated_bytes": negatives}

    specification = serving_models.tensor("string", "image_bytes")
    of_ids = serving_models.signature(lambda image: {"translated": image}, serving_models.tensor("int32", "image"))
    return tf.Module(), {"serving_default": serving_models.signature(many, specification), "ids": of_ids}


def wait(page, state):
    page.wait_for_selector(f"#stage[data-state={state}]")


def halves(height=40, width=64):
    """Left reddish, right bluish, and no color its own negative."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = (200, 40, 10), (10, 60, 220)
    image[:, :, 1] += np.arange(height, dtype=np.uint8)[:, None]
    return image


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def upload(data, name="photo.png"):
    return {"name": name, "mimeType": "image/png", "buffer": data}


def choose(page, data, name="photo.png"):
    page.set_input_files("#file", upload(data, name))


def pixels(page, name):
    """What the browser has decoded for `original` or `translated`."""
    script = """(name) => {
        const image = document.getElementById(name);
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        canvas.getContext("2d").drawImage(image, 0, 0);
        return canvas.toDataURL();
    }"""
    data = base64.b64decode(page.evaluate(script, name).split(",")[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def seen(page, x):
    """The color on the screen at a share of the picture's width, a quarter down, where nothing lies over it."""
    screen = np.asarray(Image.open(io.BytesIO(page.locator("#picture").screenshot())).convert("RGB"))
    return screen[screen.shape[0] // 4, int(x * screen.shape[1])].astype(int)


def assert_seen(page, x, color):
    np.testing.assert_allclose(seen(page, x), color, atol=12)


def transfer(page, data):
    """A DataTransfer with a PNG file, as a drop or a paste brings it."""
    script = """(numbers) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(numbers)], "photo.png", { type: "image/png" }));
        return transfer;
    }"""
    return page.evaluate_handle(script, list(data))


def hold(page):
    """Lets the next request to a model wait without end, as for a slow server; returns where it will be."""
    held = []
    page.route(PREDICT, lambda route: held.append(route), times=1)
    return held


def drop(page, data):
    page.dispatch_event("#panel", "drop", {"dataTransfer": transfer(page, data)})


def paste(page, data):
    script = "clipboardData => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData }))"
    page.evaluate(script, transfer(page, data))
