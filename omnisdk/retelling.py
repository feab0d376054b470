"""A conversation told to a server that does not know it: at the beginning of a session, or of one begun anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from omnisdk.conversation import Conversation, Item, ToolCall, item_to_wire, new_item, spoken_words
from omnisdk.media import Image
from omnisdk.protocol import events
from omnisdk.protocol.sent_log import SentLog
from omnisdk.server_items import stand_in_of


def retold(item: Item) -> list[Item]:
    """An item as it is repeated. Pictures of the assistant go as shown by the user, just before."""
    pictures = [part for part in item.parts if isinstance(part, Image)]
    told = []
    if item.role == "assistant" and pictures:
        told.append(replace(new_item("user", *pictures), id=stand_in_of(item.id)))
    if item.role != "assistant" or spoken_words(item) or isinstance(item.parts[0], ToolCall):
        told.append(item)
    return told


def told_again(conversation: Conversation, unsure: SentLog) -> Iterator[tuple[events.ClientEvent, str]]:
    """All of it but what is sent again anyway, each event with what answers it."""
    created = {event.item.id for event in unsure if isinstance(event, events.ConversationItemCreate)}
    for item in conversation.items:
        for told in retold(item) if item.id not in created else []:
            yield events.ConversationItemCreate(item=item_to_wire(told)), told.id
