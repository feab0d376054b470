from typing import get_args

import pytest

from omnisdk.protocol import events, wire
from omnisdk.protocol.events import ClientEvent, KnownServerEvent
from omnisdk.protocol.items import InputAudio, InputImage, InputText, Message
from omnisdk.protocol.picture import Picture


@pytest.mark.parametrize("union", [ClientEvent, KnownServerEvent])
def test_every_event_has_a_name_of_its_own(union: object) -> None:
    kinds = get_args(union)
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)


def test_every_event_class_belongs_to_a_union() -> None:
    listed = {*get_args(ClientEvent), *get_args(KnownServerEvent)}
    bases = (events.FromClient, events.FromServer)
    written = {
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, bases) and kind not in bases
    }
    assert written == listed


def test_an_item_of_every_kind_of_part_survives_the_wire() -> None:
    content = [InputText(text="what is it?"), InputAudio(audio=b"pcm"), InputImage(image_url=Picture(b"png"))]
    event = events.ConversationItemAdded(
        event_id="e", item=Message(role="user", content=list(content), id="i"), previous_item_id=None
    )
    assert wire.decode_server_event(wire.encode(event)) == event
    assert wire.decode_server_event(wire.pack(event)) == event


def test_a_first_item_says_that_nothing_stands_before_it() -> None:
    event = events.InputAudioBufferCommitted(item_id="i", previous_item_id=None)
    assert '"previous_item_id":null' in wire.encode(event)
