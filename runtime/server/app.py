"""The ASGI application: the live socket and the HTTP endpoints beside it."""

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable, Iterable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from omnisdk.protocol.documents.asyncapi import asyncapi_document
from runtime.engine.engine import Engine
from runtime.server.accounts import Accounts
from runtime.server.assets import AssetsEndpoint, AssetStore
from runtime.server.auth import Door, Refusal
from runtime.server.chat.completions import ChatCompletions
from runtime.server.client_secrets import ClientSecrets, ClientSecretsEndpoint
from runtime.server.connection import Connections, refusal_response
from runtime.server.draining import Draining
from runtime.server.http_errors import REALTIME, Endpoint, nowhere, told
from runtime.server.images import Images
from runtime.server.metrics import Metrics
from runtime.server.model_card import ModelCard
from runtime.server.model_list import ModelList
from runtime.server.open_requests import OpenRequests
from runtime.server.settings import ServerSettings
from runtime.server.speech import Speech
from runtime.server.tracing import ToolSpans, Tracing, tracing_of
from runtime.server.transcriptions import Transcriptions
from runtime.server.watched_engine import WatchedEngine


def create_app(engine: Engine, model: ModelCard, settings: ServerSettings | None = None) -> Starlette:
    """An application that answers with `engine`. The engine is the caller's, to be closed after the application."""
    settings = settings or ServerSettings()
    metrics, tracing = Metrics(), tracing_of(model.name)
    secrets, assets, requests = ClientSecrets(), AssetStore(settings.max_asset_bytes), OpenRequests()
    door = Door(settings, Accounts(_watched(engine, metrics, tracing), settings.keys, settings.limits), secrets)
    connections = Connections(model, settings, assets, door, metrics, tracing)
    draining = Draining(connections, requests, settings.drain_s)
    tools = None if tracing is None else tracing.shared_tools
    readiness = Readiness(model.name, lambda: not draining.begun, on_end=_nothing if tools is None else tools.close)
    routes = [
        WebSocketRoute(REALTIME, connections.serve),
        *_open_routes(readiness, assets),
        *_told_routes(door, model, metrics),
        *_asked_routes(door, requests, _asked(model, assets, secrets, tools)),
    ]
    middleware = [] if tracing is None else [Middleware(tracing.middleware)]
    refusals = {404: nowhere, 405: nowhere}
    app = Starlette(routes=routes, lifespan=readiness.lifespan, middleware=middleware, exception_handlers=refusals)
    app.state.drain = draining.drain
    return app


def _watched(engine: Engine, metrics: Metrics, tracing: Tracing | None) -> Engine:
    counted = WatchedEngine(engine, metrics.on_request)
    return counted if tracing is None else WatchedEngine(counted, tracing.on_request)


def _nothing() -> None:
    pass


def _open_routes(readiness: "Readiness", assets: AssetStore) -> Iterable[Route]:
    """For everybody."""
    yield Route("/healthz", healthz)
    yield Route("/readyz", readiness.endpoint)
    yield Route("/asyncapi.json", asyncapi)
    # No key: its id is one, and a page's <img> can show no other.
    yield Route("/v1/assets/{asset_id}", told(AssetsEndpoint(assets).fetch))


def _told_routes(door: Door, model: ModelCard, metrics: Metrics) -> Iterable[Route]:
    """For those who may come in, whatever they have used up."""
    models = ModelList(model)
    yield Route("/metrics", guarded(door, metrics.endpoint, limited=False))
    yield Route("/v1/models", guarded(door, models.all, limited=False))
    yield Route("/v1/models/{name:path}", guarded(door, models.one, limited=False))


def _asked(
    model: ModelCard, assets: AssetStore, secrets: ClientSecrets, tools: ToolSpans | None
) -> dict[str, Endpoint]:
    """What is asked of the model, by path."""
    images = Images(model, assets)
    return {
        "/v1/realtime/client_secrets": ClientSecretsEndpoint(secrets, model).create,
        "/v1/chat/completions": ChatCompletions(model, tools).create,
        "/v1/images/generations": images.generations,
        "/v1/images/edits": images.edits,
        "/v1/audio/speech": Speech(model).create,
        "/v1/audio/transcriptions": Transcriptions(model).transcriptions,
    }


def _asked_routes(door: Door, requests: OpenRequests, asked: dict[str, Endpoint]) -> Iterable[Route]:
    """A server that ends waits for these, and begins no more of them."""
    counted = [Middleware(requests.counted)]
    for path, endpoint in asked.items():
        yield Route(path, guarded(door, endpoint), methods=["POST"], middleware=counted)


def guarded(door: Door, endpoint: Endpoint, *, limited: bool = True) -> Endpoint:
    """For those who may come in. limited: whether it is refused to those who have used up what they may take."""

    async def checked(request: Request) -> Response:
        admitted = door.admit(request.headers)
        if isinstance(admitted, Refusal):
            return refusal_response(admitted)
        request.state.account = admitted.account
        if limited:
            admitted.account.check()
        return await endpoint(request)

    return told(checked)


class Readiness:
    """Ready from the start of the application until it is told to stop, while `takes` says that sessions may begin."""

    def __init__(self, model_name: str, takes: Callable[[], bool], on_end: Callable[[], None]) -> None:
        self._model_name, self._takes, self._on_end = model_name, takes, on_end
        self._ready = False

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._ready = True
        yield
        self._ready = False
        self._on_end()

    async def endpoint(self, _: Request) -> Response:
        ready = self._ready and self._takes()
        status = "ready" if ready else "not ready"
        return JSONResponse({"status": status, "model": self._model_name}, 200 if ready else 503)


async def healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def asyncapi(_: Request) -> Response:
    return Response(await asyncio.to_thread(_asyncapi_json), media_type="application/json")


@functools.cache
def _asyncapi_json() -> bytes:
    return json.dumps(asyncapi_document()).encode()
