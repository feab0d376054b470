import pytest

from omnisdk.protocol import wire
from omnisdk.protocol.documents.catalogue import Event, events
from omnisdk.protocol.documents.examples import SOUND, bare_example, full_example
from omnisdk.protocol.events import ConversationItemCreate, InputAudioBufferAppend, ResponseCreate
from omnisdk.protocol.items import Message


@pytest.mark.parametrize("event", events(), ids=lambda event: event.name)
def test_every_example_is_read_as_it_was_written(event: Event) -> None:
    decode = wire.decode_client_event if event.sender == "client" else wire.decode_server_event
    for example in (full_example(event.described.kind.cls), bare_example(event.described.kind.cls)):
        assert decode(wire.encode(example)) == example
        assert decode(wire.pack(example)) == example


def test_a_full_one_has_everything_and_a_bare_one_nothing_needless() -> None:
    full, bare = full_example(ConversationItemCreate), bare_example(ConversationItemCreate)
    assert isinstance(full, ConversationItemCreate)
    assert isinstance(full.item, Message)
    assert len(full.item.content) == 5
    assert full.event_id == "event_1"
    assert isinstance(bare, ConversationItemCreate)
    assert bare.event_id is None
    assert full_example(InputAudioBufferAppend) == InputAudioBufferAppend(audio=SOUND, event_id="event_1")
    assert bare_example(ResponseCreate) == ResponseCreate()
