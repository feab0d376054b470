"""Frames to events and back: text frames are JSON, binary frames MessagePack of the same structs.

A server reads strictly, a client passes over what is new to it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

import msgspec

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import ClientEvent, KnownServerEvent, ServerEvent, UnknownEvent
from omnisdk.protocol.limits import MAX_EVENT_ID_LENGTH, MAX_INBOUND_FRAME_BYTES
from omnisdk.protocol.picture import Picture, picture_from_wire
from omnisdk.protocol.plain import unfit
from omnisdk.protocol.shape import allowed_at, unknown_field, value_at

_PATH = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_ANY_KEY = "[...]"  # where msgspec leaves out which key of a free object it means
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`")


def encode(event: ClientEvent | ServerEvent) -> str:
    """The text frame of an event."""
    return _JSON.encode(event).decode()


def pack(event: ClientEvent | ServerEvent) -> bytes:
    """The binary frame of an event, for peers that negotiated it."""
    return _MSGPACK.encode(event)


def decode_server_event(frame: str | bytes) -> ServerEvent:
    """What a client reads. A type it does not know becomes UnknownEvent. Raises ProtocolError for anything else."""
    try:
        return _SERVER_JSON.decode(frame) if isinstance(frame, str) else _SERVER_MSGPACK.decode(frame)
    except (ValueError, RecursionError):  # all of msgspec's are ValueErrors; what it is is found out at leisure
        return _unusual_server_event(frame)


def _unusual_server_event(frame: str | bytes) -> ServerEvent:
    message = _message(frame)
    _check_plain(message, None)
    name = message.get("type")
    event_type = _types_by_name(KnownServerEvent).get(name) if isinstance(name, str) else None
    if event_type is None:
        return UnknownEvent(type=str(name), event_id=str(message.get("event_id", "")))
    return _converted(message, event_type, None)  # type: ignore[no-any-return]


def decode_client_event(frame: str | bytes, *, max_bytes: int = MAX_INBOUND_FRAME_BYTES) -> ClientEvent:
    """What a server reads. Raises ProtocolError for too much, bad frames, and unknown or wrong events and fields."""
    return client_event(decode_message(frame, max_bytes=max_bytes))


def decode_message(frame: str | bytes, *, max_bytes: int = MAX_INBOUND_FRAME_BYTES) -> dict[str, Any]:
    """A client's frame as the object it holds, whatever that says. Raises ProtocolError."""
    if len(frame) > max_bytes:
        raise ProtocolError(
            f"a frame of {len(frame)} bytes came; at most {max_bytes} are taken; send it in smaller pieces",
            code=errors.MESSAGE_TOO_LARGE,
        )
    message = _message(frame)
    _check_plain(message, _event_id(message))
    return message


def client_event(message: Mapping[str, Any]) -> ClientEvent:
    """The event that an object is. Raises ProtocolError for unknown and wrong events and fields."""
    event_id = _event_id(message)
    return checked(message, _client_event_type(message, event_id), event_id)  # type: ignore[no-any-return]


def checked(message: Mapping[str, Any], kind: type, event_id: str | None = None, *, strict: bool = True) -> Any:
    """A JSON object as the struct `kind`. Raises ProtocolError for unknown and wrong fields.

    strict: whether "1" is no number, as it is where all that comes is text.
    """
    unknown = unknown_field(message, kind)
    if unknown:
        problem = f"unknown parameter {unknown!r}; leave it out"
        raise ProtocolError(problem, code=errors.UNKNOWN_PARAMETER, param=unknown, event_id=event_id)
    return _converted(message, kind, event_id, strict=strict)


def _message(frame: str | bytes) -> dict[str, Any]:
    form, code = ("JSON", errors.INVALID_JSON) if isinstance(frame, str) else ("MessagePack", errors.INVALID_MSGPACK)
    try:
        message = msgspec.json.decode(frame) if isinstance(frame, str) else msgspec.msgpack.decode(frame)
    except (msgspec.DecodeError, ValueError, RecursionError) as problem:  # text that is not UTF-8 is a ValueError
        raise ProtocolError(f"the frame is not valid {form} ({problem}); send one object a frame", code=code) from None
    if not isinstance(message, dict):
        raise ProtocolError(
            f"{form} of type {type(message).__name__} came; an event is an object with a type", code=code
        )
    return message


def _check_plain(message: dict[str, Any], event_id: str | None) -> None:
    found = unfit(message)
    if found is not None:
        path, problem = found
        raise ProtocolError(
            f"{path or 'the event'}: {problem}", code=errors.INVALID_VALUE, param=path or None, event_id=event_id
        )


def _event_id(message: Mapping[str, Any]) -> str | None:
    event_id = message.get("event_id")
    if isinstance(event_id, str) and len(event_id) > MAX_EVENT_ID_LENGTH:
        raise ProtocolError(
            f"event_id has {len(event_id)} characters; at most {MAX_EVENT_ID_LENGTH} are taken; send a shorter one",
            code=errors.INVALID_VALUE,
            param="event_id",
        )
    return event_id if isinstance(event_id, str) else None


def _client_event_type(message: Mapping[str, Any], event_id: str | None) -> type:
    known = _types_by_name(ClientEvent)
    if "type" not in message:
        raise ProtocolError(
            f"the event has no type; send one of {', '.join(known)}",
            code=errors.MISSING_PARAMETER,
            param="type",
            event_id=event_id,
        )
    name = message["type"]
    if not isinstance(name, str) or name not in known:
        raise ProtocolError(
            f"unknown event type {_shown(name)}; send one of {', '.join(known)}",
            code=errors.INVALID_VALUE,
            param="type",
            event_id=event_id,
        )
    return known[name]


@cache
def _types_by_name(union: Any) -> dict[str, type]:
    return {str(event_type.__struct_config__.tag): event_type for event_type in get_args(union)}


def _converted(message: Mapping[str, Any], event_type: type, event_id: str | None, *, strict: bool = True) -> Any:
    try:
        return msgspec.convert(message, event_type, strict=strict, dec_hook=from_wire)
    except msgspec.ValidationError as problem:
        error = _located(str(problem), message, event_type, event_id)
        if isinstance(problem.__cause__, ProtocolError):  # of a picture; only its place was missing
            error = ProtocolError(
                problem.__cause__.message, code=problem.__cause__.code, param=error.param, event_id=event_id
            )
        raise error from None


def _located(text: str, message: Mapping[str, Any], event_type: type, event_id: str | None) -> ProtocolError:
    """msgspec's words with the path of the field in the protocol's own form, as in `item.content[0].text`."""
    match = _PATH.match(text)
    assert match
    problem, path = match["problem"], (match["path"] or "").removeprefix("$").removeprefix(".")
    allowed = allowed_at(event_type, path)
    path = _with_key(path, message, event_type)
    missing = _MISSING.search(problem)
    if missing:
        param = ".".join(filter(None, (path, missing["name"])))
        return ProtocolError(
            f"{param} is missing; add it", code=errors.MISSING_PARAMETER, param=param, event_id=event_id
        )
    problem = problem.replace("`bytes`", "`bytes` (base64 in JSON)")
    advice = f"; send {' or '.join(allowed)}" if allowed else ""
    if "base64" in problem:
        advice = "; encode the bytes as standard base64 with padding"
    says_what_came = "got `" in problem or not problem.startswith("Expected")
    came = "" if says_what_came else f"{_shown(value_at(message, path))} came, "
    return ProtocolError(
        f"{path or 'the event'}: {came}{problem[:1].lower()}{problem[1:]}{advice}",
        code=errors.INVALID_TYPE if "got `" in problem else errors.INVALID_VALUE,
        param=path or None,
        event_id=event_id,
    )


def _with_key(path: str, message: Mapping[str, Any], event_type: type) -> str:
    """The path with the key that msgspec left out: the first whose value, standing alone there, is refused."""
    before, any_key, behind = path.partition(_ANY_KEY)
    if not any_key:
        return path
    alone = copy.deepcopy(dict(message))
    free = value_at(alone, before)
    for key, value in dict(free).items():
        free.clear()
        free[key] = value
        try:
            msgspec.convert(alone, event_type, dec_hook=from_wire)
        except msgspec.ValidationError:
            return f"{before}.{key}{behind}"
    return path


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def from_wire(wanted: type, value: Any) -> Any:
    """The types that msgspec does not know: pictures."""
    if wanted is Picture:
        return picture_from_wire(value)
    raise NotImplementedError(wanted)


def _data_url(value: Any) -> str:
    if isinstance(value, Picture):
        return value.data_url
    raise NotImplementedError(type(value))


def _raw(value: Any) -> bytes:
    if isinstance(value, Picture):
        return bytes(value)
    raise NotImplementedError(type(value))


_SERVER_JSON: msgspec.json.Decoder[KnownServerEvent] = msgspec.json.Decoder(KnownServerEvent, dec_hook=from_wire)
_SERVER_MSGPACK: msgspec.msgpack.Decoder[KnownServerEvent] = msgspec.msgpack.Decoder(
    KnownServerEvent, dec_hook=from_wire
)
_JSON = msgspec.json.Encoder(enc_hook=_data_url)
_MSGPACK = msgspec.msgpack.Encoder(enc_hook=_raw)
