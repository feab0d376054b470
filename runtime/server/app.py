"""The ASGI application: the live socket and the HTTP endpoints beside it."""

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from omnisdk.protocol.documents.asyncapi import asyncapi_document
from runtime.engine.engine import Engine
from runtime.server.accounts import Accounts
from runtime.server.assets import AssetStore
from runtime.server.auth import Door, Refusal
from runtime.server.chat.completions import ChatCompletions
from runtime.server.client_secrets import ClientSecrets, ClientSecretsEndpoint
from runtime.server.connection import Connections, refusal_response
from runtime.server.http_errors import Endpoint, told
from runtime.server.images import Images
from runtime.server.metrics import Metrics
from runtime.server.model_card import ModelCard
from runtime.server.partials import PNG
from runtime.server.settings import ServerSettings
from runtime.server.speech import Speech
from runtime.server.tracing import tracing_of
from runtime.server.transcriptions import Transcriptions
from runtime.server.watched_engine import WatchedEngine


def create_app(engine: Engine, model: ModelCard, settings: ServerSettings | None = None) -> Starlette:
    """An application that answers with `engine`. The engine is the caller's, to be closed after the application."""
    settings = settings or ServerSettings()
    assets = AssetStore(settings.max_asset_bytes)
    kept = ClientSecrets()
    metrics, tracing = Metrics(), tracing_of(model.name)
    engine = WatchedEngine(engine, metrics.on_request)
    if tracing is not None:
        engine = WatchedEngine(engine, tracing.on_request)
    door = Door(settings, Accounts(engine, settings.keys, settings.limits), kept)
    connections = Connections(model, settings, assets, door, metrics, tracing)
    readiness = Readiness(model.name, lambda: not connections.draining)
    client_secrets = ClientSecretsEndpoint(kept, model)
    chat, images = ChatCompletions(model), Images(model, assets)
    speech, transcriptions = Speech(model), Transcriptions(model)

    def guarded(endpoint: Endpoint, *, limited: bool = True) -> Endpoint:
        """limited: whether it is refused to those who have used up what they may take."""

        async def checked(request: Request) -> Response:
            admitted = door.admit(request.headers)
            if isinstance(admitted, Refusal):
                return refusal_response(admitted)
            request.state.account = admitted.account
            if limited:
                admitted.account.check()
            return await endpoint(request)

        return told(checked)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def asyncapi(_: Request) -> Response:
        return Response(await asyncio.to_thread(_asyncapi_json), media_type="application/json")

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [model_entry(model)]})

    async def one_model(request: Request) -> Response:
        name = request.path_params["name"]
        if name == model.name:
            return JSONResponse(model_entry(model))
        return refusal_response(Refusal(404, "model_not_found", f"there is no model {name!r}; there is {model.name!r}"))

    async def asset(request: Request) -> Response:
        png = assets.get(request.path_params["asset_id"])
        if png is None:
            return refusal_response(
                Refusal(404, "asset_not_found", "there is no such picture; the oldest are dropped, fetch them in time")
            )
        return Response(png, media_type=PNG, headers={"Cache-Control": "private, max-age=3600, immutable"})

    routes = [
        WebSocketRoute("/v1/realtime", connections.serve),
        Route("/healthz", healthz),
        Route("/readyz", readiness.endpoint),
        Route("/metrics", guarded(metrics.endpoint, limited=False)),
        Route("/asyncapi.json", asyncapi),
        Route("/v1/models", guarded(models, limited=False)),
        Route("/v1/models/{name:path}", guarded(one_model, limited=False)),
        Route("/v1/realtime/client_secrets", guarded(client_secrets.create), methods=["POST"]),
        Route("/v1/chat/completions", guarded(chat.create), methods=["POST"]),
        Route("/v1/images/generations", guarded(images.generations), methods=["POST"]),
        Route("/v1/images/edits", guarded(images.edits), methods=["POST"]),
        Route("/v1/audio/speech", guarded(speech.create), methods=["POST"]),
        Route("/v1/audio/transcriptions", guarded(transcriptions.transcriptions), methods=["POST"]),
        Route("/v1/assets/{asset_id}", asset),  # no key: its id is one, and a page's <img> can show no other
    ]
    middleware = [] if tracing is None else [Middleware(tracing.middleware)]
    app = Starlette(routes=routes, lifespan=readiness.lifespan, middleware=middleware)
    app.state.drain = connections.drain
    return app


class Readiness:
    """Ready from the start of the application until it is told to stop, while `takes` says that sessions may begin."""

    def __init__(self, model_name: str, takes: Callable[[], bool]) -> None:
        self._model_name, self._takes = model_name, takes
        self._ready = False

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._ready = True
        yield
        self._ready = False

    async def endpoint(self, _: Request) -> Response:
        ready = self._ready and self._takes()
        status = "ready" if ready else "not ready"
        return JSONResponse({"status": status, "model": self._model_name}, 200 if ready else 503)


@functools.cache
def _asyncapi_json() -> bytes:
    return json.dumps(asyncapi_document()).encode()


def model_entry(model: ModelCard) -> dict[str, object]:
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": "omnisdk",
        "omni": {
            "modalities_in": model.modalities_in,
            "modalities_out": model.modalities_out,
            "recipes": tuple(model.recipes),
        },
    }
