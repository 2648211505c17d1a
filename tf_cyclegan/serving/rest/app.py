"""The web application: its routes, and the page on which a visitor translates images."""

import contextlib
import functools
import mimetypes
from importlib import resources

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tf_cyclegan.serving.rest.hosts import Guard
from tf_cyclegan.serving.rest.routes import Rest
from tf_cyclegan.serving.service import Service

_TYPES = (".html", ".js", ".css", ".png", ".svg")
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def create_app(repository, limits, cors=False, hosts=None):
    """Makes the application, which any ASGI server can run.

    Args:
        repository: `Repository`, already scanned or started.
        limits: `Limits`.
        cors: bool, lets pages of other origins call the models. Defaults to False.
        hosts: result of `allowed_hosts`, the names of the server. Defaults to None, any name.

    Returns:
        `starlette.applications.Starlette`; `app.state.service` is its `Service`, whose `stopping` makes it unready.
        Its threads and processes end with ASGI's lifespan; without one call `app.state.service.close()`. After that it
        answers no request. The caller closes the repository. Give each application of a process a
        `max_memory_bytes`, because they do not know of each other.
    """
    service = Service(repository, limits)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield
        service.close()

    app = Starlette(lifespan=lifespan)
    app.state.service = service
    app.add_middleware(Guard, names=hosts)

    async def healthz(request):
        return JSONResponse({"status": "ok"})

    async def readyz(request):
        ready = repository.ready and not service.stopping
        return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    async def metrics(request):
        return Response(service.telemetry.exposition(), media_type=service.telemetry.content_type)

    rest = Rest(service, cors)
    # Only `OPTIONS *`, which asks about the server as a whole, fits no route.
    app.router.default = Response(headers={"Allow": "GET, HEAD, OPTIONS, POST"})
    app.router.routes += [
        Route("/v1/{path:path}", rest),  # the first, because routes are tried in their order
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/monitoring/prometheus/metrics", metrics),
        *_page_routes(repository, limits),
        Route("/{path:path}", rest),
    ]
    return app


def _page_routes(repository, limits):
    """Routes of the page and its files. No address becomes a path: only the files of this list exist."""
    files = _read(resources.files("tf_cyclegan.serving") / "page", "/demo/")
    routes = [Route(path, functools.partial(_send, path, content)) for path, content in files.items()]
    if "/demo/index.html" in files:
        routes.append(Route("/", functools.partial(_send, "/demo/index.html", files["/demo/index.html"])))
    samples = sorted(path for path in files if path.startswith("/demo/samples/"))

    async def config(request):
        settings = {"max_body_bytes": limits.max_body_bytes, "max_pixels": limits.max_pixels, "samples": samples}
        return JSONResponse({"models": _models(repository.newest()), **settings}, headers=_PAGE_HEADERS)

    return [*routes, Route("/demo/config.json", config)]


def _read(folder, prefix):
    """The contents of the files below a folder, by their addresses."""
    files = {}
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir():
            files |= _read(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_TYPES):
            files[f"{prefix}{entry.name}"] = entry.read_bytes()
    return files


async def _send(path, content, request):
    return Response(content, media_type=mimetypes.guess_type(path)[0], headers=_PAGE_HEADERS)


def _models(newest):
    served = {version.name: version for version in newest}
    return [
        {
            "name": name,
            "pair": _pair(name, served),
            "version": version.number,
            "bytes": _takes_bytes(version),
            "ids": _takes_ids(version),
        }
        for name, version in served.items()
    ]


def _pair(name, served):
    """The served model of the other direction, or None."""
    for end, other in (("_ab", "_ba"), ("_ba", "_ab")):
        if name.endswith(end) and name.removesuffix(end) + other in served:
            return name.removesuffix(end) + other
    return None


def _takes_bytes(version):
    """Whether a model takes an encoded image and gives one, as the page needs it."""
    engine = version.engine  # None, if the version has just been unloaded
    signature = engine and engine.signatures.get("serving_default")
    if not signature or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        return False
    (taken,), ((name, given),) = signature.inputs.values(), signature.outputs.items()
    return taken.dtype == given.dtype == "string" and name.endswith("_bytes")


def _takes_ids(version):
    """Whether a model takes label maps, which the page must not change."""
    engine = version.engine
    return bool(engine) and "ids" in engine.signatures
