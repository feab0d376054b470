"""Which items the server has, in what order; by which of them a picture of the assistant is told again."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

STAND_IN = "shown_"


class ServerItems:
    """Ids of all items of the server's conversation, in their order."""

    def __init__(self) -> None:
        self._ids: list[str] = []

    @property
    def ids(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._ids)

    def add(self, item_id: str, before: str | None) -> None:
        """One more, behind `before`; None for the beginning. It may be told twice."""
        if item_id not in self._ids:
            self._ids.insert(self._ids.index(before) + 1 if before in self._ids else 0, item_id)

    def remove(self, item_id: str) -> None:
        """One less."""
        if item_id in self._ids:
            self._ids.remove(item_id)

    def clear(self) -> None:
        """The session is begun anew."""
        self._ids.clear()

    def before(self, item_id: str) -> str:
        """What an item stands behind: an id, or "root" for the beginning."""
        at = self._ids.index(item_id)
        return self._ids[at - 1] if at else "root"

    def as_told(self, item_ids: Iterable[str]) -> list[str]:
        """The ids of items that may have been told to another session since."""
        told: list[str] = []
        for item_id in item_ids:
            stands_in = stand_in_of(item_id)
            if stands_in in self._ids:
                told += [one for one in (stands_in, item_id) if one in self._ids and one not in told]
            elif item_id not in told:
                told.append(item_id)
        return told


def stand_in_of(item_id: str) -> str:
    """The id under which the user shows the pictures of an answer: a client cannot say that the assistant drew them."""
    return STAND_IN + sha256(item_id.encode()).hexdigest()[:24]
