"""A client of `tf-cyclegan serve` and of TensorFlow Serving's REST interface, with the standard library alone."""

import base64
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request


class ReplyError(RuntimeError):
    """The server refused the request, failed, or sent a reply without an answer. The text is the server's own.

    Args:
        status: int, HTTP status of the reply.
        text: str, what the server said.
    """

    def __init__(self, status, text):
        super().__init__(f"{text} (HTTP {status})")
        self.status = status
        self.text = text


class Client:
    """Translates images by a server.

    Args:
        url: address of the server. Defaults to `"http://127.0.0.1:8501"`.
        timeout: seconds to wait for an answer. Defaults to 60.

    Raises:
        ValueError: if `url` is not an http or https address.

    Example:
        >>> png = Client().translate("photo.jpg", "horse2zebra_ab")  # doctest: +SKIP
    """

    def __init__(self, url="http://127.0.0.1:8501", timeout=60):
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"`url` must begin with http:// or https://. Received: url={url!r}")
        self.url = url.rstrip("/")
        self.timeout = timeout

    def translate(self, image, model, version=None):
        """Translates an image.

        The client sends the file as it is, and servers do not apply its EXIF orientation.

        Args:
            image: path of a PNG or JPEG file, or its `bytes`.
            model: name of the model, for example `"horse2zebra_ab"`.
            version: int version, or str label. Defaults to `None`, the newest version.

        Returns:
            The translated image, the `bytes` of a PNG file.

        Raises:
            OSError: if the file cannot be read, or no server answers in time.
            ReplyError: if the server refuses or fails.
        """
        data = bytes(image) if isinstance(image, (bytes, bytearray, memoryview)) else _read(image)
        (answer,) = self.predict([{"b64": base64.b64encode(data).decode()}], model, version)
        if not isinstance(answer, dict) or "b64" not in answer:
            raise ReplyError(200, f"The model {model} does not answer images")
        return base64.b64decode(answer["b64"])

    def predict(self, instances, model, version=None, signature_name=None):
        """Sends instances of any kind to a model, in the form of TensorFlow Serving's `predict`.

        Args:
            instances: list of values that JSON can hold; bytes as `{"b64": "..."}`.
            model: name of the model.
            version: int version, or str label. Defaults to `None`, the newest version.
            signature_name: str. Defaults to `None`, the signature `serving_default`.

        Returns:
            The list of predictions, one for each instance.

        Raises:
            OSError: if no server answers in time.
            ReplyError: if the server refuses or fails.

        Example:
            >>> Client().predict([1.0, 2.0], "half_plus_two")  # doctest: +SKIP
            [2.5, 3.0]
        """
        request = {"instances": instances}
        if signature_name is not None:
            request["signature_name"] = signature_name
        return self._reply(f"{_path(model, version)}:predict", "predictions", json.dumps(request).encode())

    def versions(self, model):
        """Asks for the versions of a model.

        Args:
            model: name of the model.

        Returns:
            Dict of int version to state, for example `{2: "AVAILABLE"}`.

        Raises:
            OSError: if no server answers in time.
            ReplyError: if there is no such model.
        """
        found = self._reply(_path(model), "model_version_status")
        return {int(entry["version"]): entry["state"] for entry in found}

    def models(self):
        """Asks for the names of all models of `tf-cyclegan serve`; TensorFlow Serving does not tell them.

        Raises:
            OSError: if no server answers in time.
            ReplyError: if it is another kind of server.
        """
        return [entry["name"] for entry in self._reply("/demo/config.json", "models")]

    def _reply(self, path, field, body=None):
        """A field of the JSON reply to GET or, with a body, POST."""
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"} if body else {})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                return json.load(reply)[field]
        except urllib.error.HTTPError as error:
            with error:
                raise ReplyError(error.code, _error_text(error)) from error
        except TimeoutError as error:
            raise TimeoutError(f"The server at {self.url} did not answer in {self.timeout} s") from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
            reason = getattr(error, "reason", None) or error
            raise ConnectionError(f"No server answers at {self.url}: {reason}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ReplyError(200, f"The server at {self.url} answered without `{field}`") from error


def _path(model, version=None):
    kind = "labels" if isinstance(version, str) else "versions"
    tail = "" if version is None else f"/{kind}/{urllib.parse.quote(str(version), safe='')}"
    return f"/v1/models/{urllib.parse.quote(model, safe='')}{tail}"


def _read(path):
    with open(os.path.expanduser(path), "rb") as file:
        return file.read()


def _error_text(error):
    """The error within a JSON reply; the reply of a proxy on the way may not be JSON."""
    body = error.read().decode(errors="replace")
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return error.reason or "no reason given"
