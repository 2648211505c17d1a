#!/usr/bin/env python3
"""Toy models for the tests of the server, and the models.config that TensorFlow Serving needs to serve them.

    python tests/serving_models.py /tmp/models
    docker run --rm -p 8501:8501 -v /tmp/models:/models tensorflow/serving \\
        --model_config_file=/models/models.config --allow_version_labels_for_unavailable_models
    pytest tests/serving/test_serving_contract.py --base-url http://localhost:8501
"""

import argparse
import tempfile
from pathlib import Path

import tensorflow as tf

LABELS = {"half_plus": {"stable": 1, "canary": 2}}
ECHOED = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool", "string"]
WITHOUT_FORM = ["half", "bfloat16", "uint16", "complex64"]  # in JSON

_CONFIG = """  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
{rest}  }}
"""


def tensor(dtype, name="x", shape=(None,)):
    return tf.TensorSpec(shape, dtype, name)


def signature(function, *inputs):
    return tf.function(function, input_signature=inputs).get_concrete_function()


def half_plus(added):
    """`y = x / 2 + added`, with variables, which a loader has to restore."""
    module = tf.Module()
    module.half, module.added = tf.Variable(0.5), tf.Variable(float(added))
    return module, {"serving_default": signature(lambda x: {"y": module.half * x + module.added}, tensor("float32"))}


def documented(added):
    """The graph of TensorFlow Serving's documented half_plus_two and half_plus_three, as TensorFlow 1 made it.

    `x` is parsed from examples, one number each: its shape is [-1, 1], yet the documented request feeds [3].

    Args:
        added: what `y` is more than half of `x`.

    Returns:
        Function that saves it in a folder.
    """
    v1 = tf.compat.v1

    def save(directory):
        with tempfile.TemporaryDirectory() as elsewhere, v1.Session(graph=tf.Graph()) as session:
            half, more, three = (v1.Variable(value, use_resource=False) for value in (0.5, float(added), 3.0))
            examples = v1.placeholder(tf.string, [None], "tf_example")
            missing = {"x": None, "x2": [0.0]}
            features = {name: tf.io.FixedLenFeature([1], tf.float32, value) for name, value in missing.items()}
            parsed = v1.io.parse_example(examples, features)
            x, x2 = (tf.identity(parsed[name], name) for name in features)
            y, y2 = tf.add(half * x, more, "y"), tf.add(half * x, three, "y2")
            y3 = tf.add(v1.Variable(0.5, use_resource=False) * x2, three, "y3")
            asset = Path(elsewhere, "foo.txt")
            asset.write_text("asset-file-contents")
            path = tf.constant(str(asset))
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
            name = v1.Variable(asset.name, trainable=False, collections=[], use_resource=False)
            session.run(v1.global_variables_initializer())
            builder = v1.saved_model.Builder(str(directory))
            builder.add_meta_graph_and_variables(
                session,
                ["serve"],
                {
                    "serving_default": _signature_def("predict", {"x": x}, {"y": y}),
                    "regress_x_to_y": _signature_def("regress", {"inputs": examples}, {"outputs": y}),
                    "regress_x_to_y2": _signature_def("regress", {"inputs": examples}, {"outputs": y2}),
                    "regress_x2_to_y3": _signature_def("regress", {"inputs": x2}, {"outputs": y3}),
                    "classify_x_to_y": _signature_def("classify", {"inputs": examples}, {"scores": y}),
                },
                assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
                main_op=tf.group(name.assign(asset.name)),
            )
            builder.save()

    return save


def _signature_def(method, inputs, outputs):
    describe = tf.compat.v1.saved_model.build_tensor_info
    taken, given = ({name: describe(value) for name, value in of.items()} for of in (inputs, outputs))
    return tf.compat.v1.saved_model.build_signature_def(taken, given, f"tensorflow/serving/{method}")


def echo():
    """Answers what it was asked: a signature for every type, of any rank."""
    signatures = {
        dtype: signature(lambda x: {"y": tf.identity(x)}, tensor(dtype, shape=None)) for dtype in ECHOED + WITHOUT_FORM
    }
    signatures["bytes"] = signature(lambda x: {"y_bytes": tf.identity(x)}, tensor("string", shape=None))
    signatures["to_half"] = signature(lambda x: {"y": tf.cast(x, "float16")}, tensor("float32"))
    signatures["serving_default"] = signatures["float32"]
    return tf.Module(), signatures


def several():
    """Several inputs and outputs, and those that have no rows."""
    pair = [tensor("float32", "a"), tensor("int32", "b")]
    typed = [tensor("string", "text"), tensor("int32", "number"), tensor("bool", "flag"), tensor("uint8", "byte")]
    return tf.Module(), {
        "serving_default": signature(
            lambda a, b: {"sum": a + tf.cast(b, "float32"), "difference": a - tf.cast(b, "float32")}, *pair
        ),
        "typed": signature(
            lambda text, number, flag, byte: {
                "text_bytes": tf.identity(text),
                "number": number + 1,
                "flag": tf.logical_not(flag),
                "byte": tf.identity(byte),
            },
            *typed,
        ),
        "total": signature(lambda x: {"y": tf.reduce_sum(x)}, tensor("float32")),
        "uneven": signature(lambda x: {"once": tf.identity(x), "twice": tf.concat([x, x], 0)}, tensor("float32")),
    }


def refuse():
    """Takes positive numbers only, as an assertion within the graph."""

    def positive(x):
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 0), ["not positive", x])]):
            return {"y": tf.identity(x)}

    return tf.Module(), {"serving_default": signature(positive, tensor("float32"))}


def negative():
    """Encoded image to the PNG of its negative."""

    def one(encoded):
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        return tf.io.encode_png(255 - image)

    def many(image_bytes):
        return {"translated_bytes": tf.map_fn(one, image_bytes, fn_output_signature=tf.string)}

    return tf.Module(), {"serving_default": signature(many, tensor("string", "image_bytes"))}


def busy():
    """Multiplies matrices `rounds` times; a deadline can stop it after any of them."""

    def work(rounds):
        start = tf.fill([256, 256], 1 / 256)
        last = tf.while_loop(
            lambda i, m: i < tf.reduce_max(rounds),
            lambda i, m: (i + 1, tf.matmul(m, start)),
            [0, start],
            parallel_iterations=1,
        )[1]
        return {"y": tf.cast(rounds, "float32") * last[0, 0]}

    return tf.Module(), {"serving_default": signature(work, tensor("int32", "rounds"))}


# The folder of a version may have leading zeros, as that of TensorFlow Serving's own example has.
MODELS = {
    "half_plus_two/00000123": lambda: documented(2),
    "half_plus_three/00000123": lambda: documented(3),
    "half_plus/1": lambda: half_plus(2),
    "half_plus/2": lambda: half_plus(3),
    "newest/1": lambda: half_plus(2),
    "newest/2": lambda: half_plus(3),
    "echo/1": echo,
    "several/1": several,
    "refuse/1": refuse,
    "negative/1": negative,
    "busy/1": busy,
}


def write(directory, model):
    """Saves `(module, signatures)`, or what a function saves, as a version folder."""
    if callable(model):
        return model(directory)
    module, signatures = model
    tf.saved_model.save(module, str(directory), signatures=signatures)


def write_all(directory):
    """Saves every toy model and models.config.

    Args:
        directory: folder that gets NAME/VERSION.

    Returns:
        It, as a path.
    """
    for place, make in MODELS.items():
        write(Path(directory) / place, make())
    (Path(directory) / "models.config").write_text(config())
    return Path(directory)


def config():
    """models.config for a container that has the folder at /models."""
    return "model_config_list {\n" + "".join(_model_config(name) for name in _names()) + "}\n"


def label_flags():
    """The labels as our server takes them."""
    labels = [f"{name}:{label}={version}" for name, of in LABELS.items() for label, version in of.items()]
    return ["--labels", *labels]


def _names():
    return sorted({place.split("/")[0] for place in MODELS})


def _model_config(name):
    labels = LABELS.get(name, {})
    versions = " ".join(f"versions: {version}" for version in labels.values())
    policy = [f"    model_version_policy {{ specific {{ {versions} }} }}\n"] if labels else []
    keys = [f'    version_labels {{ key: "{key}" value: {value} }}\n' for key, value in labels.items()]
    return _CONFIG.format(name=name, rest="".join(policy + keys))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", help="folder that gets the models and models.config")
    write_all(parser.parse_args().directory)
