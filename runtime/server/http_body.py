"""Bodies of requests: JSON or a form, of a kind and a size that is checked before it is read."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from omnisdk.protocol import errors, wire
from omnisdk.protocol.errors import ProtocolError
from runtime.server.http_errors import UNSUPPORTED_MEDIA_TYPE, account_of

MAX_BODY_BYTES = 32 * 1024 * 1024
JSON, FORM = "application/json", "multipart/form-data"
S = TypeVar("S", bound=Struct)


@dataclass(frozen=True)
class File:
    """name: as the client calls it, empty if it does not."""

    name: str
    content: bytes


async def read_json(request: Request, kind: type[S]) -> S:
    """The body as `kind`. Raises ProtocolError: too large, no JSON, unknown or wrong fields."""
    return as_kind(decoded(await json_bytes(request)), kind)


async def json_bytes(request: Request) -> bytes:
    """The body, not decoded yet. Raises ProtocolError."""
    _check_type(request, JSON, optional=True)
    return b"".join([chunk async for chunk in _chunks(request)])


def decoded(body: bytes) -> dict[str, Any]:
    """Raises ProtocolError."""
    try:
        message = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise _invalid(f"the body is not valid JSON ({problem}); send one JSON object") from None
    if not isinstance(message, dict):
        raise _invalid(f"a JSON {type(message).__name__} came; send one JSON object")
    return message


def as_kind(message: dict[str, Any], kind: type[S], *, strict: bool = True) -> S:
    """Raises ProtocolError."""
    found: S = wire.checked(message, kind, strict=strict)
    return found


async def read_form(request: Request, kind: type[S]) -> tuple[S, dict[str, File]]:
    """The fields as `kind`, and the files by field. A name with [] behind it may come more than once."""
    _check_type(request, FORM, optional=False)
    counted = Request(request.scope, _counting(request))
    try:
        async with counted.form(max_part_size=MAX_BODY_BYTES) as form:
            files = {
                name: File(part.filename or "", await part.read())
                for name, part in form.multi_items()
                if isinstance(part, UploadFile)
            }
            fields = {
                name.removesuffix("[]"): form.getlist(name) if name.endswith("[]") else part
                for name, part in form.multi_items()
                if isinstance(part, str)
            }
    except HTTPException as problem:  # what Starlette makes of a MultiPartException
        raise _invalid(f"the form cannot be read ({problem.detail}); send {FORM}") from None
    return as_kind(fields, kind, strict=False), files


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    receive = _counting(request)
    while True:
        message = await receive()
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


def _counting(request: Request) -> Any:
    """request.receive, which raises ProtocolError once more came than is taken."""
    account = account_of(request)
    announced = request.headers.get("content-length", "0")
    _check_size(int(announced) if announced.isdigit() else 0)
    so_far = 0

    async def receive() -> Message:
        nonlocal so_far
        message = await request.receive()
        num_bytes = len(message.get("body", b""))
        so_far += num_bytes
        account.take(bytes=num_bytes)
        _check_size(so_far)
        return message

    return receive


def _check_size(num_bytes: int) -> None:
    if num_bytes > MAX_BODY_BYTES:
        raise ProtocolError(
            f"a body of {num_bytes} bytes or more came; at most {MAX_BODY_BYTES} are taken; send less at once",
            code=errors.MESSAGE_TOO_LARGE,
        )


def _check_type(request: Request, wanted: str, *, optional: bool) -> None:
    came = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if came == wanted or (optional and not came):
        return
    raise ProtocolError(
        f"a body of {came or 'no type'} came; this takes {wanted}; send the header Content-Type: {wanted}",
        code=UNSUPPORTED_MEDIA_TYPE,
    )


def _invalid(message: str) -> ProtocolError:
    return ProtocolError(message, code=errors.INVALID_JSON)
