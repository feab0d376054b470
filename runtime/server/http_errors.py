"""What goes wrong over HTTP, told as OpenAI's API tells it; and requests whose clients leave."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from runtime.server.accounts import Account, RateLimitError

log = logging.getLogger(__name__)
T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]
UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
NOT_FOUND, METHOD_NOT_ALLOWED = "not_found", "method_not_allowed"
REALTIME = "/v1/realtime"
MODEL_NOT_FOUND, ASSET_NOT_FOUND = "model_not_found", "asset_not_found"
STATUS_OF_CODE = {
    errors.MESSAGE_TOO_LARGE: 413,
    UNSUPPORTED_MEDIA_TYPE: 415,
    errors.RATE_LIMIT_EXCEEDED: 429,
    MODEL_NOT_FOUND: 404,
    ASSET_NOT_FOUND: 404,
    errors.OVERLOADED: 503,
    errors.SHUTTING_DOWN: 503,
}
RETRY_AFTER_S = 5  # of a 503; nobody knows when there will be room
CLIENT_GONE_STATUS = 499  # nobody reads it but the log


class ClientGoneError(Exception):
    """The client has left before its answer was there."""


def told(endpoint: Endpoint) -> Endpoint:
    """What breaks a rule is told with a status and a body."""

    async def tried(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ProtocolError as error:
            return error_response(error)
        except ClientGoneError:
            return Response(status_code=CLIENT_GONE_STATUS)
        except Exception:  # ours, not the client's; other requests go on
            log.exception("%s could not be served", request.url.path)
            return error_response(errors.internal_error("request"))

    return tried


async def nowhere(request: Request, problem: Exception) -> Response:
    """For a path that there is not, or not with this method."""
    assert isinstance(problem, HTTPException)
    came = f"{request.method} {request.url.path[:80]}"
    if request.url.path == REALTIME:
        message = f"{came} came without a websocket handshake; connect with a websocket client"
    elif problem.status_code == 405:
        message = f"{came} came; this path takes {(problem.headers or {}).get('Allow', 'another method')}"
    else:
        message = f"{came} came; there is no such path here; what there is stands in docs/http.md"
    code = METHOD_NOT_ALLOWED if problem.status_code == 405 else NOT_FOUND
    return JSONResponse({"error": error_body(ProtocolError(message, code=code))}, problem.status_code, problem.headers)


def error_response(error: ProtocolError) -> JSONResponse:
    status = STATUS_OF_CODE.get(error.code, 500 if error.kind == errors.SERVER_ERROR else 400)
    wait_s = error.wait_s if isinstance(error, RateLimitError) else RETRY_AFTER_S if status == 503 else None
    headers = None if wait_s is None else {"Retry-After": str(wait_s)}
    return JSONResponse({"error": error_body(error)}, status, headers)


def error_body(error: ProtocolError) -> dict[str, str | None]:
    return {"type": error.kind, "code": error.code, "message": error.message, "param": error.param}


def not_made(message: str, code: str = errors.GENERATION_FAILED) -> ProtocolError:
    """The model failed, or ended before it was done."""
    return ProtocolError(message, code=code, kind=errors.SERVER_ERROR)


def account_of(request: Request) -> Account:
    """On whose account a request is that was let in."""
    account: Account = request.state.account
    return account


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is cancelled if the client leaves before. Its body was read. Raises ClientGoneError."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
    _note(working)
    raise ClientGoneError


def _note(working: asyncio.Future[Any]) -> None:
    """What went wrong when nobody was left to be told."""
    problem = None if working.cancelled() else working.exception()
    if problem is not None and not isinstance(problem, ProtocolError):
        log.error("a request whose client has left could not be ended", exc_info=problem)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
