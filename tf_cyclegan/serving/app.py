"""The application: TensorFlow Serving's REST interface, health, figures and the page."""

import contextlib

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tf_cyclegan.serving.demo import demo_routes
from tf_cyclegan.serving.hosts import Guard
from tf_cyclegan.serving.rest import Rest
from tf_cyclegan.serving.service import Service


def create_app(repository, limits, cors=False, hosts=None):
    """Makes the application, to be run by any ASGI server.

    Args:
        repository: `Repository`, already scanned or started.
        limits: `Limits`.
        cors: bool, lets pages of other origins call the models. Defaults to False.
        hosts: what `allowed_hosts` returns, the names that the server goes by. Defaults to None, any.

    Returns:
        `starlette.applications.Starlette`; `app.state.service` is its `Service`, whose `stopping` makes it unready.
        Its threads and processes end when a server ends it by ASGI's lifespan; else call `app.state.service.close()`.
        Then it answers no more. The repository is the caller's to close. Applications of one process do not know
        of each other: give each a `max_memory_bytes`.
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
    # What no route can have is the target * alone, and only OPTIONS comes with it: the server as a whole is meant.
    app.router.default = Response(headers={"Allow": "GET, HEAD, OPTIONS, POST"})
    app.router.routes += [
        Route("/v1/{path:path}", rest),  # the first, as they are tried one after another
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/monitoring/prometheus/metrics", metrics),
        *demo_routes(repository, limits),
        Route("/{path:path}", rest),
    ]
    return app
