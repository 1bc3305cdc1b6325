"""The ASGI application: every router, one gate before them, the console behind them."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from commonview import __version__
from commonview.api.access import PUBLIC, check_guards, guard_of
from commonview.api.console import Console
from commonview.api.context import ApiContext
from commonview.api.errors import install_error_handlers
from commonview.api.middleware import Gate, GateCounters
from commonview.api.routers import (
    accounts,
    admission,
    audit,
    bulk,
    cascade,
    control,
    device_events,
    device_upload,
    devices,
    events,
    exports,
    grants,
    history,
    live,
    pictures,
    purposes,
    recoded,
    recording,
    session,
    setup,
    sources,
    statistics,
    storage,
    system,
    talk,
    trace,
    tree,
)
from commonview.api.schemas import ErrorAnswer

ROUTERS = (
    setup,
    session,
    accounts,
    admission,
    purposes,
    grants,
    bulk,  # before devices and tree: "export" is no id
    devices,
    control,
    cascade,
    device_upload,
    device_events,
    live,
    history,
    pictures,  # before recording: "still" is no sequence
    recording,
    recoded,
    exports,
    storage,
    audit,
    system,
    statistics,
    events,
    sources,
    tree,
    trace,
    talk,
)

_DESCRIPTION = """\
Every operation needs a session except the few whose `security` is empty. Sign in with `POST /api/session`;
the session is a cookie, and requests that change something carry the answer's `csrf_token` in `X-CSRF-Token`.
Refusals have the shape `{"error": {"code", "message", "params"}}`.
"""


def create_app(context: ApiContext | None, *, console: Path | None = None) -> FastAPI:
    """The application of one instance. Without a context it can only describe itself."""
    app = FastAPI(
        title="Commonview",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        responses={
            422: {"model": ErrorAnswer, "description": "The request does not fit its description"},
            "4XX": {"model": ErrorAnswer, "description": "Refused"},
            "5XX": {"model": ErrorAnswer, "description": "Cannot be done now"},
        },
    )
    app.state.context = context
    app.state.gate_counters = GateCounters()
    install_error_handlers(app)
    check_guards(api_routes())
    for module in ROUTERS:
        app.include_router(module.router)
    app.add_middleware(Gate)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign] # FastAPI's documented way
    if console is not None:
        app.mount("/", Console(console))
    return app


def api_routes() -> list[APIRoute]:
    """Every operation there is; the routers hold nothing else."""
    routes = [route for module in ROUTERS for route in module.router.routes]
    found = [route for route in routes if isinstance(route, APIRoute)]
    if len(found) != len(routes):
        raise RuntimeError("a router holds a route that is not an API operation")
    return found


def _operation_id(route: APIRoute) -> str:
    return route.name


def _describe(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1, with the session as the security of everything that is not public."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        components = document.setdefault("components", {})
        components["securitySchemes"] = {
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "commonview_session_INSTANCE",
                "description": "The cookie carries the first eight characters of the instance's id.",
            }
        }
        for route in api_routes():
            _describe_guard(document, route)
        app.openapi_schema = document
    return app.openapi_schema


def _describe_guard(document: dict[str, Any], route: APIRoute) -> None:
    guard = guard_of(route)
    for method in route.methods or ():
        operation = document["paths"][route.path][method.lower()]
        if (method, route.path) in PUBLIC:
            operation["security"] = []
        else:
            operation["security"] = [{"session": []}]
            if guard is not None and guard.action is not None:
                operation["x-required-action"] = guard.action.value
