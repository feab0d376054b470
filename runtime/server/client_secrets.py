"""Ephemeral keys: a page or a telephone gets one for a while instead of the server's own, with a session's settings."""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from omnisdk.protocol import wire
from omnisdk.protocol.events import SessionUpdate
from omnisdk.protocol.session import SessionRules, new_session_settings
from omnisdk.protocol.settings import SessionSettings
from omnisdk.protocol.skeleton import check_tools
from runtime.server.generation import check_generation
from runtime.server.http_body import as_kind, decoded, json_bytes
from runtime.server.http_errors import account_of
from runtime.server.model_card import ModelCard

PREFIX = "ek_"
MAX_KEPT = 10_000
MIN_SECONDS, DEFAULT_SECONDS, MAX_SECONDS = 10, 600, 7_200


class ExpiresAfter(Struct, kw_only=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=MIN_SECONDS, le=MAX_SECONDS)] = DEFAULT_SECONDS


class SecretRequest(Struct, kw_only=True):
    """session: as in session.update; checked there."""

    expires_after: ExpiresAfter = msgspec.field(default_factory=ExpiresAfter)
    session: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "realtime"})


@dataclass(frozen=True)
class Bound:
    """What goes with a secret: the settings its sessions begin with, the key on whose account they are."""

    expires_at: float
    settings: SessionSettings
    owner: str


class ClientSecrets:
    """Keeps digests, not the secrets. A secret opens any number of sessions until it expires.

    clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, Bound] = OrderedDict()

    def create(self, settings: SessionSettings, seconds: int, owner: str) -> tuple[str, int]:
        """The secret, told this once, and when it expires. owner: the name of the key that asked for it."""
        self._forget()
        value, expires_at = PREFIX + secrets.token_urlsafe(32), int(self._clock()) + seconds
        self._kept[_digest(value)] = Bound(expires_at, settings, owner)
        return value, expires_at

    def found(self, value: str) -> Bound | None:
        """What goes with this secret; None if it is none, or has expired.

        It is looked up by its digest, so how long that takes tells nothing about the secret.
        """
        kept = self._kept.get(_digest(value)) if value.startswith(PREFIX) else None
        return None if kept is None or kept.expires_at <= self._clock() else kept

    def _forget(self) -> None:
        """Where there are too many: what has expired, then the oldest."""
        if len(self._kept) < MAX_KEPT:
            return
        now = self._clock()
        for digest in [digest for digest, kept in self._kept.items() if kept.expires_at <= now]:
            del self._kept[digest]
        while len(self._kept) >= MAX_KEPT:
            self._kept.popitem(last=False)


class ClientSecretsEndpoint:
    """POST /v1/realtime/client_secrets."""

    def __init__(self, kept: ClientSecrets, model: ModelCard) -> None:
        self._kept, self._model = kept, model

    async def create(self, request: Request) -> Response:
        body = await json_bytes(request)
        wanted = as_kind(decoded(body) if body else {}, SecretRequest)
        settings, begun = self._checked(wanted.session)
        value, expires_at = self._kept.create(settings, wanted.expires_after.seconds, account_of(request).name)
        session = msgspec.to_builtins(begun)
        return JSONResponse({"value": value, "expires_at": expires_at, "session": session})

    def _checked(self, session: dict[str, Any]) -> tuple[SessionSettings, SessionSettings]:
        """What is wanted, and what a session begins with then. Raises ProtocolError as session.update would."""
        event = wire.decode_client_event(msgspec.json.encode({"type": "session.update", "session": session}).decode())
        assert isinstance(event, SessionUpdate)
        check_generation(self._model, event.session.omni, "session.omni")
        check_tools(event.session.tools, "session.tools")
        session_id, speaks = f"sess_{secrets.token_hex(12)}", self._model.speaks
        begun = new_session_settings(session_id, self._model.name, spoken=speaks, listens=True)
        return event.session, SessionRules(begun, str, speaks=speaks).update(event.session)


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
