"""TensorFlow Serving's routes: from a path to its model, and from a request's body to the reply or error."""

import json
import logging
import re
import time
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.responses import Response

from tf_cyclegan.serving.errors import Disconnected, ServingError, invalid
from tf_cyclegan.serving.repository import ModelSpec
from tf_cyclegan.serving.rest.http_body import BodyReader, is_gzip
from tf_cyclegan.serving.rest.json_documents import bytes_of, is_large, is_long
from tf_cyclegan.serving.rest.json_reply import write_error
from tf_cyclegan.serving.rest.json_tensors import base64_hint

_log = logging.getLogger(__name__)
_WHERE = r"/v1/models(?:/(?P<name>[^/:]+)){}(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(_WHERE.format("") + r":(?P<verb>(?-i:predict|classify|regress))", re.IGNORECASE)
_STATUS = re.compile(_WHERE.format("?") + r"(?:/(?P<part>metadata))?", re.IGNORECASE)
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_RETRY_SECONDS = 1


class Rest:
    """TensorFlow Serving's routes as an ASGI application. Each error becomes a reply without a traceback.

    Args:
        service: `Service`.
        cors: bool, lets pages of other origins call the models.
    """

    def __init__(self, service, cors):
        self._service = service
        self._headers = _CORS if cors else {}
        self._bodies = BodyReader(service.limits)
        self._unwritten = 0  # bytes of replies that wait to be written

    async def __call__(self, scope, receive, send):
        path = _path(scope)
        if scope["query_string"]:  # no route has a query
            path += f"?{scope['query_string'].decode('latin-1')}"
        if not path.lower().startswith("/v1/"):
            response = _reply(write_error(f"Not found: {scope['method']} {path}"), 404)
        else:
            response = await self._answer(scope, path, receive)
        if response is not None:
            if self._service.stopping:
                response.headers["Connection"] = "close"
            await response(scope, receive, send)

    async def _answer(self, scope, path, receive):
        try:
            return _reply(await self._route(scope, path, receive), headers=self._headers)
        except Disconnected:
            return None
        except ServingError as error:
            return _error_reply(error, self._headers)
        except MemoryError:
            return _error_reply(ServingError("RESOURCE_EXHAUSTED", "The server is out of memory"), self._headers)
        except Exception:
            _log.exception("%s %s failed", scope["method"], path)
            return _error_reply(ServingError("INTERNAL", "The server failed; its log says why."), self._headers)

    async def _route(self, scope, path, receive):
        method, headers = scope["method"], Headers(scope=scope)
        if method == "OPTIONS":
            return _preflight(headers)
        if method == "POST" and (match := _PREDICT.fullmatch(path)):
            return await self._predict(_spec(match), match["verb"], headers, receive)
        if method == "GET" and (match := _STATUS.fullmatch(path)):
            return self._describe(_spec(match), match["part"] == "metadata")
        raise invalid(f"Malformed request: {method} {path}")

    # ---- status and metadata ----

    def _describe(self, spec, metadata):
        if not spec.name:
            raise invalid("Missing model name in request.")
        return self._metadata(spec) if metadata else self._status(spec)

    def _status(self, spec):
        versions = [
            {
                "version": str(number),
                "state": state,
                "status": {
                    "error_code": error.code if error else "OK",
                    "error_message": error.message if error else "",
                },
            }
            for number, state, error in self._service.repository.status(spec)
        ]
        return _proto_json({"model_version_status": versions}).encode()

    def _metadata(self, spec):
        with self._service.repository.use(spec) as version:
            model = _proto_json({"name": version.name, "signature_name": "", "version": str(version.number)})
            signatures = _proto_json({"signature_def": version.engine.metadata()})
        # Put together as TensorFlow Serving does, with the same line breaks.
        return f'{{\n"model_spec":{model},\n"metadata": {{"signature_def": {signatures}}}\n}}\n'.encode()

    # ---- predict ----

    async def _predict(self, spec, verb, headers, receive):
        started = time.monotonic()
        try:
            reply = await self._compute(spec, verb, headers, receive)
        except BaseException as error:
            self._service.count(spec.name, error, started, "REST")
            raise
        self._service.count(spec.name, None, started, "REST")
        return reply

    async def _compute(self, spec, verb, headers, receive):
        packed = is_gzip(headers)

        async def disconnected():
            while (await receive())["type"] != "http.disconnect":
                pass

        async with self._bodies.read(headers, receive) as body:
            large = is_large(body, packed)

            def work(deadline):
                outputs, rows = self._predict_body(spec, verb, body, packed, deadline)
                if large or not is_long(outputs):
                    return self._service.documents.write(outputs, rows, deadline)
                return outputs, rows, deadline

            reply = await self._service.admission.run(work, disconnected, large)
        return reply if isinstance(reply, bytes) else await self._write(*reply, disconnected)

    async def _write(self, outputs, rows, deadline, disconnected):
        """Writes a long reply in a thread of large requests, so that small ones do not wait for a free process."""
        size = bytes_of(outputs)
        if self._unwritten and self._unwritten + size > self._service.limits.max_unread_bytes:
            raise ServingError("UNAVAILABLE", "Too many long replies wait to be written. Try again later.")
        self._unwritten += size
        try:
            return await self._service.admission.run(
                lambda _: self._service.documents.write(outputs, rows, deadline), disconnected, True, deadline
            )
        finally:
            self._unwritten -= size

    def _predict_body(self, spec, verb, body, packed, deadline):
        """The body to the outputs, and whether they are in rows; in a thread."""
        self._service.limits.check_unread(self._service.unread_bytes())
        signatures = self._service.repository.signatures(spec)
        name, inputs, rows = self._service.documents.read(body, packed, signatures, deadline)
        with self._service.repository.use(spec) as version:
            if verb != "predict":
                raise invalid(f"The {verb} API takes tf.Example, which this server does not: use :predict")
            if inputs is None:
                known = ", ".join(version.engine.signatures)
                raise invalid(
                    f'Serving signature name: "{name}" not found in signature def. The signatures are: {known}'
                )
            try:
                outputs = self._service.predictor.predict(version, name, inputs, deadline)
            except ServingError as error:
                if error.code == "INVALID_ARGUMENT":
                    error.message += base64_hint(inputs)
                raise
        return outputs, rows


def _path(scope):
    """The path below the root of the application, as the client sent it if the ASGI server tells that."""
    raw, root = scope.get("raw_path"), scope.get("root_path", "")
    return raw.decode("latin-1").removeprefix(quote(root)) if raw else scope["path"].removeprefix(root)


def _spec(match):
    version = match["version"]
    if version and (len(version.lstrip("0")) > 19 or int(version) >= 2**63):
        raise invalid("")  # TensorFlow Serving's reply is empty
    label = match["label"] and unquote(match["label"])
    return ModelSpec(unquote(match["name"] or ""), int(version) if version else None, label)


def _preflight(headers):
    if not headers.get("origin", "").startswith(("http://", "https://")):
        raise ServingError("FAILED_PRECONDITION", "Origin header must begin with http:// or https://")
    return b""


def _proto_json(value):
    """JSON in the layout of protobuf."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _reply(body, status=200, headers=None):
    return Response(body, status, {**(headers or {}), "Content-Type": "application/json"})


def _error_reply(error, headers):
    extra = {"Retry-After": str(_RETRY_SECONDS)} if error.http_status == 503 else {}
    if error.http_status == 408:  # the rest of the body would be taken for the next request
        extra["Connection"] = "close"
    return _reply(error.message and write_error(error.message), error.http_status, {**headers, **extra})
