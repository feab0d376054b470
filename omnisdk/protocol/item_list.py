"""The items of a conversation in their order, and of spoken answers how much was sent and heard."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import FunctionCall, InputAudio, Item, Message, OutputAudio


@dataclass(frozen=True)
class Placed:
    """An item and the one it stands behind."""

    item: Item
    previous_item_id: str | None


class ItemList:
    """Each method that takes an id raises ProtocolError where there is no such item."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._spoken_ms: dict[str, float] = {}  # of each spoken answer, how much was sent
        self._heard_ms: dict[str, int] = {}  # of those that were cut short, how much the user heard

    def index(self, item_id: str) -> int | None:
        return next((index for index, item in enumerate(self.items) if item.id == item_id), None)

    def holds(self, item_id: str) -> bool:
        """Whether there is an item of this id."""
        return self.index(item_id) is not None

    def retrieve(self, item_id: str) -> Item:
        return self.items[self._known_index(item_id, errors.RETRIEVE_INVALID_ITEM_ID)]

    def delete(self, item_id: str) -> None:
        del self.items[self._known_index(item_id, errors.DELETE_INVALID_ITEM_ID)]
        self._spoken_ms.pop(item_id, None)
        self._heard_ms.pop(item_id, None)

    def _known_index(self, item_id: str, code: str) -> int:
        index = self.index(item_id)
        if index is None:
            raise ProtocolError(
                f"the conversation has no item {item_id!r}; it has {len(self.items)} items; give the id of one of them",
                code=code,
                param="item_id",
            )
        return index

    # Coming in

    def check_room(self) -> None:
        if len(self.items) >= limits.MAX_ITEMS:
            raise ProtocolError(
                f"the conversation holds {len(self.items)} items, the most there may be; delete some",
                code=errors.CONVERSATION_TOO_LARGE,
            )

    def check_new(self, item_id: str | None) -> None:
        """Whether an item that comes may be called so."""
        if item_id is None:
            return
        if self.holds(item_id):
            raise ProtocolError(
                f"the conversation already has an item {item_id!r}; choose another id or leave it out",
                code=errors.DUPLICATE_ITEM_ID,
                param="item.id",
            )
        if len(item_id) > limits.MAX_ID_LENGTH:
            raise ProtocolError(
                f"an id of {len(item_id)} characters came; at most {limits.MAX_ID_LENGTH} are taken; shorten it",
                code=errors.INVALID_VALUE,
                param="item.id",
            )

    def check_called(self, call_id: str) -> None:
        """Whether there is a call that an output may belong to."""
        calls = [str(item.call_id) for item in self.items if isinstance(item, FunctionCall)]
        if call_id not in calls:
            known = f"there are {', '.join(calls[-5:])}" if calls else "no function was called yet"
            raise ProtocolError(
                f"an output for call {call_id[:80]!r} came; {known}; give the call_id of a function_call item",
                code=errors.UNKNOWN_CALL_ID,
                param="item.call_id",
            )

    def place_of(self, previous_item_id: str | None) -> int:
        """Where an item behind that one stands: None is the end of the conversation, "root" its beginning."""
        if previous_item_id is None:
            return len(self.items)
        if previous_item_id == "root":
            return 0
        index = self.index(previous_item_id)
        if index is None:
            raise ProtocolError(
                f"there is no item {previous_item_id!r} to stand behind; give the id of an item, "
                '"root" for the beginning, or nothing for the end',
                code=errors.INVALID_PREVIOUS_ITEM_ID,
                param="previous_item_id",
            )
        return index + 1

    def place(self, item: Item, previous_item_id: str | None = None) -> Placed:
        """Put an item that has an id behind another; `place_of` tells where."""
        place = self.place_of(previous_item_id)
        kept = msgspec.structs.replace(item, object="realtime.item", status=item.status or "completed")
        self.items.insert(place, kept)
        return Placed(kept, self.items[place - 1].id if place else None)

    # Answers and what was heard

    def settle(self, item: Item) -> Placed:
        """The assistant's item as it ended; it keeps its place, if the client did not delete it meanwhile."""
        index = self.index(str(item.id))
        if index is None:
            return Placed(item, None)
        self.items[index] = self._as_heard(item) if isinstance(item, Message) else item
        return Placed(item, self.items[index - 1].id if index else None)

    def note_transcript(self, item_id: str, content_index: int, transcript: str) -> None:
        """What was heard in a speech part."""
        index = self.index(item_id)
        item = None if index is None else self.items[index]
        if isinstance(item, Message):
            part = item.content[content_index]
            assert isinstance(part, InputAudio)
            part.transcript = transcript

    def note_spoken(self, item_id: str, duration_ms: float) -> None:
        """So much more of an answer's sound was sent. Counts for answers of the conversation alone."""
        if self.holds(item_id):
            self._spoken_ms[item_id] = self.spoken_ms(item_id) + duration_ms

    def spoken_ms(self, item_id: str) -> float:
        """How much of an answer's sound was sent."""
        return self._spoken_ms.get(item_id, 0.0)

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> int:
        """Keep of a spoken answer what was heard, its words in proportion. How many milliseconds that is: at most
        what was sent."""
        index = self._known_index(item_id, errors.TRUNCATE_INVALID_ITEM_ID)
        item = self.items[index]
        if not isinstance(item, Message) or item_id not in self._spoken_ms:
            raise ProtocolError(
                f"item {item_id!r} cannot be truncated: it is no answer that was spoken; delete the item instead",
                code=errors.TRUNCATE_INVALID_ITEM_ID,
                param="item_id",
            )
        if content_index:
            raise ProtocolError(
                f"content_index {content_index} came; the sound of an answer is its part 0",
                code=errors.INVALID_VALUE,
                param="content_index",
            )
        self._heard_ms[item_id] = min(audio_end_ms, int(self._spoken_ms[item_id]))
        self.items[index] = self._as_heard(item)
        return self._heard_ms[item_id]

    def _as_heard(self, item: Message) -> Message:
        item_id = str(item.id)
        heard_ms = self._heard_ms.get(item_id)
        if heard_ms is None:
            return item
        share = heard_ms / max(self._spoken_ms[item_id], 1.0)
        content = [_cut(part, share) if isinstance(part, OutputAudio) else part for part in item.content]
        return msgspec.structs.replace(item, content=content)


def _cut(part: OutputAudio, share: float) -> OutputAudio:
    """With the first `share` of its words."""
    words = (part.transcript or "").split()
    return msgspec.structs.replace(part, transcript=" ".join(words[: int(len(words) * share)]))
