"""The page at /: a few files, read once, and what the page has to know of the server."""

import functools
import mimetypes
from importlib import resources

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_TYPES = (".html", ".js", ".css", ".png", ".svg")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def demo_routes(repository, limits):
    """Routes of the page and its files. No address becomes a path: what is not listed here does not exist.

    Args:
        repository: `Repository`, whose models the page offers.
        limits: `Limits`, which the page keeps to.

    Returns:
        list of Starlette routes.
    """
    files = _read(resources.files(__package__) / "page", "/demo/")
    routes = [Route(path, functools.partial(_send, path, content)) for path, content in files.items()]
    if "/demo/index.html" in files:
        routes.append(Route("/", functools.partial(_send, "/demo/index.html", files["/demo/index.html"])))
    samples = sorted(path for path in files if path.startswith("/demo/samples/"))

    async def config(request):
        settings = {"max_body_bytes": limits.max_body_bytes, "max_pixels": limits.max_pixels, "samples": samples}
        return JSONResponse({"models": _models(repository.newest()), **settings}, headers=_HEADERS)

    return [*routes, Route("/demo/config.json", config)]


def _read(folder, prefix):
    """The files below a folder by their addresses."""
    files = {}
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir():
            files |= _read(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_TYPES):
            files[f"{prefix}{entry.name}"] = entry.read_bytes()
    return files


async def _send(path, content, request):
    return Response(content, media_type=mimetypes.guess_type(path)[0], headers=_HEADERS)


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
    """The model of the other direction, if it is served."""
    for end, other in (("_ab", "_ba"), ("_ba", "_ab")):
        if name.endswith(end) and name.removesuffix(end) + other in served:
            return name.removesuffix(end) + other
    return None


def _takes_bytes(version):
    """Whether a model takes an encoded image and answers one, which is what the page can show."""
    engine = version.engine  # None, if the version has just been unloaded
    signature = engine and engine.signatures.get("serving_default")
    if not signature or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        return False
    (taken,), ((name, given),) = signature.inputs.values(), signature.outputs.items()
    return taken.dtype == given.dtype == "string" and name.endswith("_bytes")


def _takes_ids(version):
    """Whether the images that a model takes are label maps, which the page must send as they are."""
    engine = version.engine
    return bool(engine) and "ids" in engine.signatures
