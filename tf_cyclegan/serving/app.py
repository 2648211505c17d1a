"""The application: TensorFlow Serving's REST interface, health, figures and the page."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tf_cyclegan.serving.admission import Admission
from tf_cyclegan.serving.demo import demo_routes
from tf_cyclegan.serving.documents import PROCESSES, Documents
from tf_cyclegan.serving.hosts import Guard
from tf_cyclegan.serving.memory import MemoryBudget
from tf_cyclegan.serving.prediction import Predictor
from tf_cyclegan.serving.rest import Rest
from tf_cyclegan.serving.telemetry import Telemetry


def create_app(repository, limits, cors=False, hosts=None):
    """Makes the application, to be run by any ASGI server.

    Args:
        repository: `Repository`, already scanned or started.
        limits: `Limits`.
        cors: bool, lets pages of other origins call the models. Defaults to False.
        hosts: what `allowed_hosts` returns, the names that the server goes by. Defaults to None, any.

    Returns:
        `starlette.applications.Starlette`. Setting `app.state.stopping` makes it unready.
    """
    admission = Admission(limits, PROCESSES)
    documents = Documents(limits)
    budget = MemoryBudget(limits.max_memory_bytes)
    predictor = Predictor(limits, budget)
    telemetry = Telemetry(admission, budget)
    app = Starlette()
    app.state.stopping = False
    app.state.unread_bytes = int  # 0; the server knows how much it is
    app.state.admission = admission
    app.state.documents = documents
    app.state.predictor = predictor
    app.state.telemetry = telemetry
    app.add_middleware(Guard, names=hosts)

    async def healthz(request):
        return JSONResponse({"status": "ok"})

    async def readyz(request):
        ready = repository.ready and not app.state.stopping
        return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    async def metrics(request):
        return Response(telemetry.exposition(), media_type=telemetry.content_type)

    def unread_bytes():
        return app.state.unread_bytes()

    # What no route can have is the target * alone, and only OPTIONS comes with it: the server as a whole is meant.
    app.router.default = Response(headers={"Allow": "GET, HEAD, OPTIONS, POST"})
    rest = Rest(repository, limits, admission, documents, predictor, telemetry, unread_bytes, cors)
    app.router.routes += [
        Route("/v1/{path:path}", rest),  # the first, as they are tried one after another
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/monitoring/prometheus/metrics", metrics),
        *demo_routes(repository, limits),
        Route("/{path:path}", rest),
    ]
    return app
