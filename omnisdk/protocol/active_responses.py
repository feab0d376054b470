"""Which responses are being made: one of the conversation, and some beside it."""

from __future__ import annotations

from collections.abc import Callable

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError


class ActiveResponses:
    """new_id: makes ids from a prefix."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self.active_id: str | None = None  # of the conversation's
        self.side_ids: set[str] = set()  # of those outside of the conversation

    def check_room(self, *, side: bool) -> None:
        """Whether one more may begin. side: outside of the conversation."""
        if side and len(self.side_ids) >= limits.MAX_SIDE_RESPONSES:
            raise ProtocolError(
                f"{len(self.side_ids)} responses outside of the conversation are being made, the most there "
                "may be; wait for one to end",
                code=errors.TOO_MANY_RESPONSES,
            )
        if not side and self.active_id is not None:
            raise ProtocolError(
                f"response {self.active_id} is still being made; wait for its response.done or cancel it",
                code=errors.RESPONSE_ALREADY_ACTIVE,
            )

    def begin(self, *, side: bool = False) -> str:
        """The id of the response that is active from now on."""
        response_id = self._new_id("resp")
        if side:
            self.side_ids.add(response_id)
        else:
            self.active_id = response_id
        return response_id

    def end(self, response_id: str | None = None) -> None:
        """response_id: None for the conversation's."""
        if response_id in self.side_ids:
            self.side_ids.discard(str(response_id))
        else:
            self.active_id = None

    def to_cancel(self, response_id: str | None) -> str:
        """The id of the response to cancel. A request: it stays active until `end`."""
        return self._active(response_id, "Cancellation failed", errors.CANCEL_NOT_ACTIVE)

    def to_finalize(self, response_id: str) -> str:
        """The id of the response to finish early. It too stays active until `end`."""
        return self._active(response_id, "Finalizing failed", errors.FINALIZE_NOT_ACTIVE)

    def to_tune(self, response_id: str) -> str:
        """The id of the response whose rest is to be made otherwise."""
        return self._active(response_id, "Tuning failed", errors.TUNE_NOT_ACTIVE)

    def _active(self, response_id: str | None, failure: str, code: str) -> str:
        active = self.active_id
        if response_id in self.side_ids:
            return str(response_id)
        if active is None and response_id is None:
            raise ProtocolError(f"{failure}: no active response found", code=code)
        if active is None:
            raise ProtocolError(
                f"{failure}: no active response found; {str(response_id)[:80]!r} has ended or was never begun",
                code=code,
                param="response_id",
            )
        if response_id not in (None, active):
            raise ProtocolError(
                f"{failure}: {str(response_id)[:80]!r} is not the active response; that is {active}",
                code=code,
                param="response_id",
            )
        return active
