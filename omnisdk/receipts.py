"""Events that the server must answer, and who waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from dataclasses import dataclass

from omnisdk.protocol import events


@dataclass(frozen=True)
class Receipt:
    """An event the server must answer: with an item of this id, with this type of event, or with an error."""

    event_id: str
    answered_by: str
    answer: asyncio.Future[events.ServerEvent]


class Receipts:
    """All that is waited for, in the order it was sent."""

    def __init__(self) -> None:
        self._open: list[Receipt] = []

    def expect(self, event_id: str, answered_by: str) -> Receipt:
        """To be awaited, `.answer`, and then closed."""
        receipt = Receipt(event_id, answered_by, asyncio.get_running_loop().create_future())
        self._open.append(receipt)
        return receipt

    def close(self, receipt: Receipt) -> None:
        """Nobody waits for it any more."""
        self._open.remove(receipt)

    def settle(self, event: events.ServerEvent) -> str | None:
        """Hand the event to the first that waits for an item of its id or for its type; which event that was."""
        receipt = next((receipt for receipt in self._open if answers(event, receipt.answered_by)), None)
        if receipt is None or receipt.answer.done():
            return None
        receipt.answer.set_result(event)
        return receipt.event_id

    def refused(self, event_id: str | None, error: Exception) -> bool:
        """Hand an error to whom it names, or to the oldest if it names nobody; whether there was one."""
        waiting = [receipt for receipt in self._open if not receipt.answer.done()]
        named = [receipt for receipt in waiting if event_id in (None, receipt.event_id)]
        if named:
            named[0].answer.set_exception(error)
        return bool(named)

    def fail(self, error: Exception, *, but: Container[str] = ()) -> None:
        """No answer comes any more, but to events of these ids."""
        for receipt in self._open:
            if receipt.event_id not in but and not receipt.answer.done():
                receipt.answer.set_exception(error)


def answers(event: events.ServerEvent, answered_by: str) -> bool:
    """Whether the event is of this type, or tells the item of this id."""
    return answered_by in (_type_of(event), item_id(event))


def item_id(event: events.ServerEvent) -> str | None:
    """The id of the item the event tells, if it tells one."""
    return getattr(getattr(event, "item", None), "id", None)


def _type_of(event: events.ServerEvent) -> str:
    return event.type if isinstance(event, events.UnknownEvent) else str(event.__struct_config__.tag)
