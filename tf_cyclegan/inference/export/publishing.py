"""Publication of model versions, and the files that TensorFlow Serving needs to run them."""

import contextlib
import errno
import os
import re
import shutil
import uuid

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from tf_cyclegan.files import sync, write_whole

_VERSION = re.compile(r"[0-9]+")
_WRITTEN = "# Written by tf-cyclegan export, and again by the next one. Remove this line to keep your changes."
_MODEL_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_MODEL = """
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    # Serves the newest version alone. For more, and for names of versions as in /labels/stable:
    # model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
    # version_labels {{ key: "stable" value: 1 }}
  }}"""
_BATCHING = """
# For the signatures serving_default and static_HEIGHTxWIDTH, with --enable_batching: requests are joined only if all
# their tensors have one shape, as strings always have.
max_batch_size { value: 8 }
batch_timeout_micros { value: 2000 }
# A full queue is answered with 503.
max_enqueued_batches { value: 16 }
num_batch_threads { value: 2 }
allowed_batch_sizes: 1
allowed_batch_sizes: 2
allowed_batch_sizes: 4
allowed_batch_sizes: 8
"""
_MONITORING = """
prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }
"""
_README = """
# The models in TensorFlow Serving

    docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD:/models:ro" tensorflow/serving \\
        --model_config_file=/models/models.config --monitoring_config_file=/models/monitoring.config

On a GPU: `--gpus all` and the image `tensorflow/serving:latest-gpu`. To batch requests, where clients are many, add
`--enable_batching --batching_parameters_file=/models/batching.config`. Labels of versions are set in `models.config`
and need `--allow_version_labels_for_unavailable_models`. A new version is found within seconds.

{requests}
TensorFlow Serving limits neither the size nor the number of requests: for the open internet put a proxy in front that
does.
"""
_LIMITS = "with sides up to 8192 and at most 16,777,216 pixels"
_OF_FILES = """{names}:

    curl -s -d "{{\\"instances\\":[{{\\"b64\\":\\"$(base64 -w0 {file})\\"}}]}}" \\
        http://localhost:8501/v1/models/{name}:predict |
        python3 -c "import json; print(json.load(open(0))['predictions'][0]['b64'])" | base64 -d > out.png

{kinds}
"""
_OF_ARRAYS = """{names}:

    python3 -c "import json, numpy; print(json.dumps({{{signature}'instances': [numpy.load('in.npy').tolist()]}}))" |
        curl -s -d @- http://localhost:8501/v1/models/{name}:predict |
        python3 -c "import json, numpy; numpy.save('out.npy', json.load(open(0))['predictions'][0])"

in.npy is an array (height, width, {channels}) of {values}; out.npy is one of numbers in [-1, 1].
"""
_IMAGES = f"Images are PNG or JPEG {_LIMITS}; a turn that only the EXIF data ask for is ignored."
_LABEL_MAPS = f"Label maps are gray PNGs {_LIMITS}, whose levels are the numbers of classes."
_IDS = ("'signature_name': 'ids', ", "integers, the number of the class and that of the instance")
_NUMBERS = ("", "numbers in [-1, 1]")


def publish_version(directory, write, keep=None):
    """Publishes the next version of a model, whole or not at all.

    A server looks for folders whose names are numbers, and loads them at once. So the version is written to another
    folder next to them, brought to the disk and then renamed. Existing versions are never touched, and a version that
    fails leaves nothing.

    Args:
        directory: folder of the model; it is made if it does not exist.
        write: callable that gets a path where nothing is yet, and writes and checks the version there.
        keep: optional int of at least 1, the number of newest versions that stay. Defaults to None, all.

    Returns:
        str, the path of the new version.

    Raises:
        OSError: if the version cannot be written.
    """
    directory = os.path.expanduser(directory)
    created = not os.path.isdir(directory)
    os.makedirs(directory, exist_ok=True)
    aside = os.path.join(directory, f".tmp-{uuid.uuid4().hex}")
    try:
        write(aside)
        _sync_tree(aside)
        path = _rename_to_next(aside, directory)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        if created:
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        raise
    for version in versions(directory)[:-keep] if keep else ():
        _remove(directory, version)
    return path


def versions(directory):
    """The names of the versions in a model's folder, the newest last."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return sorted(filter(_VERSION.fullmatch, names), key=int)


def _rename_to_next(aside, directory):
    """Renames a version to the next number, and tries again if another export has taken the number meanwhile."""
    while True:
        path = os.path.join(directory, str(max(map(int, versions(directory)), default=0) + 1))
        try:
            os.rename(aside, path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        else:
            sync(directory)
            return path


def _remove(directory, version):
    """Renames the version before it is deleted, so that a server never finds half of it."""
    aside = os.path.join(directory, f".old-{uuid.uuid4().hex}")
    os.rename(os.path.join(directory, version), aside)
    shutil.rmtree(aside)


def _sync_tree(path):
    for folder, _, names in os.walk(path):
        for name in names:
            sync(os.path.join(folder, name))
        sync(folder)


# ---- the files of a server ----


def write_deployment(directory):
    """Writes `models.config`, `batching.config`, `monitoring.config` and `README.md` for the models in a folder.

    Args:
        directory: folder with `NAME/VERSION` of one or more models.

    Returns:
        list of str, the files that were not written because a user has changed them.

    Raises:
        OSError: if a file cannot be written.
    """
    names = served_models(directory)
    models = "".join(_MODEL.format(name=name) for name in names)
    files = {
        "models.config": f"\nmodel_config_list {{{models}\n}}\n",
        "batching.config": _BATCHING,
        "monitoring.config": _MONITORING,
        "README.md": _README.format(requests="\n".join(_requests(directory, names))),
    }
    return [name for name, text in files.items() if not _write(os.path.join(directory, name), text)]


def served_models(directory):
    """The names of the models in a folder that have versions."""
    names = filter(_MODEL_NAME.fullmatch, os.listdir(directory))
    return sorted(name for name in names if versions(os.path.join(directory, name)))


def _requests(directory, names):
    """Example requests as texts, one for all models that take the same requests."""
    alike = {}
    for name in names:
        alike.setdefault(_request(_signatures(os.path.join(directory, name))), []).append(name)
    for (text, settings), models in alike.items():
        yield text.format(name=models[0], names=", ".join(models), **dict(settings))


def _request(signatures):
    """An example request to a model with these signatures: a text, and the values that are filled in."""
    takes_ids = "ids" in signatures
    inputs = signatures["serving_default"].inputs if "serving_default" in signatures else {}
    if "image" not in inputs:
        file, kinds = ("in.png", _LABEL_MAPS) if takes_ids else ("in.jpg", _IMAGES)
        return _OF_FILES, (("file", file), ("kinds", kinds))
    signature, values = _IDS if takes_ids else _NUMBERS
    channels = inputs["image"].tensor_shape.dim[-1].size
    return _OF_ARRAYS, (("signature", signature), ("values", values), ("channels", channels))


def _signatures(folder):
    """The signatures of the newest version of a model."""
    try:
        with open(os.path.join(folder, versions(folder)[-1], "saved_model.pb"), "rb") as file:
            return saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs[0].signature_def
    except (OSError, DecodeError, IndexError):  # of another program, or not whole
        return {}


def _write(path, text):
    """Writes a file unless a user has changed it. Returns whether it was written."""
    header = f"<!-- {_WRITTEN[2:]} -->" if path.endswith(".md") else _WRITTEN
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            if file.readline().rstrip("\n") != header:
                return False
    write_whole(path, (header + "\n" + text.removeprefix("\n")).encode())
    return True
