"""Ephemeral keys: a page or a telephone gets one for a while instead of the server's own, with a session's settings."""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from omnisdk.protocol import errors, wire
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import SessionUpdate
from omnisdk.protocol.session import SessionRules, new_session_settings
from omnisdk.protocol.settings import SessionSettings
from runtime.server.generation import check_generation
from runtime.server.model_card import ModelCard
from runtime.server.tools.skeleton import check_tools

PREFIX = "ek_"
MAX_KEPT = 10_000
MIN_SECONDS, DEFAULT_SECONDS, MAX_SECONDS = 10, 600, 7_200


class ExpiresAfter(Struct, kw_only=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=MIN_SECONDS, le=MAX_SECONDS)] = DEFAULT_SECONDS


class SecretRequest(Struct, kw_only=True):
    """session: as in session.update; checked there."""

    expires_after: ExpiresAfter = msgspec.field(default_factory=ExpiresAfter)
    session: msgspec.Raw = msgspec.Raw(b'{"type":"realtime"}')


@dataclass(frozen=True)
class _Kept:
    expires_at: float
    settings: SessionSettings


class ClientSecrets:
    """Keeps digests, not the secrets. A secret opens any number of sessions until it expires.

    clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def create(self, settings: SessionSettings, seconds: int) -> tuple[str, int]:
        """The secret, told this once, and when it expires."""
        self._forget()
        value, expires_at = PREFIX + secrets.token_urlsafe(32), int(self._clock()) + seconds
        self._kept[_digest(value)] = _Kept(expires_at, settings)
        return value, expires_at

    def settings_of(self, value: str) -> SessionSettings | None:
        """What a session begins with that is opened with this secret; None if it is none, or has expired.

        It is looked up by its digest, so how long that takes tells nothing about the secret.
        """
        kept = self._kept.get(_digest(value)) if value.startswith(PREFIX) else None
        return None if kept is None or kept.expires_at <= self._clock() else kept.settings

    def _forget(self) -> None:
        """What has expired, and the oldest of too many."""
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
        wanted = _read(await request.body())
        settings, begun = self._checked(bytes(wanted.session))
        value, expires_at = self._kept.create(settings, wanted.expires_after.seconds)
        session = msgspec.to_builtins(begun)
        return JSONResponse({"value": value, "expires_at": expires_at, "session": session})

    def _checked(self, session: bytes) -> tuple[SessionSettings, SessionSettings]:
        """What is wanted, and what a session begins with then. Raises ProtocolError as session.update would."""
        event = wire.decode_client_event(f'{{"type":"session.update","session":{session.decode()}}}')
        assert isinstance(event, SessionUpdate)
        check_generation(self._model, event.session.omni, "session.omni")
        check_tools(event.session.tools, "session.tools")
        begun = new_session_settings(f"sess_{secrets.token_hex(12)}", self._model.name)
        return event.session, SessionRules(begun, str, speaks=self._model.speaks).update(event.session)


def _read(body: bytes) -> SecretRequest:
    try:
        return msgspec.json.decode(body.decode() or "{}", type=SecretRequest)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        text, _, path = str(problem).partition(" - at `$.")
        raise ProtocolError(
            f"{text}; send {{expires_after: {{anchor, seconds {MIN_SECONDS} to {MAX_SECONDS}}}, session}}",
            code=errors.INVALID_VALUE,
            param=path.rstrip("`") or None,
        ) from None


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
