import base64
import json

import numpy as np
import pytest

from omnisdk.conversation import Conversation, Item, Text, item_from_wire, item_to_wire, new_item, reduce
from omnisdk.errors import OmniError
from omnisdk.media import Image, Speech
from omnisdk.protocol import events, wire

SPEECH = Speech(np.full(4800, 0.1), sample_rate_hz=24000)
PICTURE = Image(np.zeros((4, 4, 3), np.uint8))


def server_event(kind: str, **fields: object) -> events.ServerEvent:
    return wire.decode_server_event(json.dumps({"type": kind, "event_id": "event_1", **fields}))


def message(item_id: str, role: str, status: str = "completed", *content: dict[str, object]) -> dict[str, object]:
    return {"id": item_id, "type": "message", "role": role, "status": status, "content": list(content)}


class TestValue:
    def test_adding_leaves_the_old_one_unchanged(self) -> None:
        chat = Conversation(system="Be brief.")
        longer = chat.user("what is this?", PICTURE)
        assert len(chat) == 0
        assert len(longer) == 1
        assert longer.items[0].parts == (Text("what is this?"), PICTURE)
        assert longer.system == "Be brief."
        assert str(longer) == "system: Be brief.\nuser: what is this? + Image 4x4"

    def test_an_item_with_a_known_id_takes_its_place(self) -> None:
        chat = Conversation().user("a").user("b")
        changed = chat.add(Item(chat.items[0].id, "user", (Text("c"),)))
        assert [str(item.parts[0]) for item in changed.items] == ["c", "b"]

    def test_every_item_has_its_own_id(self) -> None:
        assert len({item.id for item in Conversation().user("a").user("a").assistant("a").items}) == 3

    def test_parts_that_are_none(self) -> None:
        with pytest.raises(OmniError, match="give text, Speech"):
            Conversation().user(3.5)  # type: ignore[arg-type]


class TestWire:
    @pytest.mark.parametrize("role", ["user", "assistant", "system"])
    def test_text_there_and_back(self, role: str) -> None:
        item = new_item(role, "hello")  # type: ignore[arg-type]
        assert item_from_wire(item_to_wire(item)) == item

    def test_of_what_the_assistant_said_the_words_are_sent(self) -> None:
        item = new_item("assistant", SPEECH.with_transcript("hello"), PICTURE, SPEECH, "and bye")
        assert item_from_wire(item_to_wire(item)).parts == (Text("hello"), Text("and bye"))

    def test_media_of_the_user(self) -> None:
        item = new_item("user", SPEECH, PICTURE)
        there = item_from_wire(item_to_wire(item))
        assert there.parts == (SPEECH, PICTURE)


class TestReducing:
    def test_a_new_item_of_the_server(self) -> None:
        item = message("i1", "assistant", "completed", {"type": "output_text", "text": "hi"})
        chat = reduce(Conversation(), server_event("conversation.item.added", item=item))
        assert chat.items == (Item("i1", "assistant", (Text("hi"),)),)
        assert reduce(chat, server_event("conversation.item.done", item=item)) == chat

    def test_media_known_here_stay(self) -> None:
        chat = Conversation().add(Item("i1", "user", (SPEECH,)))
        item = message("i1", "user", "completed", {"type": "input_audio", "transcript": None})
        assert reduce(chat, server_event("conversation.item.added", item=item)) == chat

    def test_a_transcript_belongs_to_the_speech(self) -> None:
        chat = Conversation().add(Item("i1", "user", (SPEECH, Text("and this")))).user("later")
        heard = server_event(
            "conversation.item.input_audio_transcription.completed",
            item_id="i1",
            content_index=0,
            transcript="two apples",
            usage={"type": "duration", "seconds": 1.0},
        )
        after = reduce(chat, heard)
        speech = after.items[0].parts[0]
        assert isinstance(speech, Speech)
        assert speech.transcript == "two apples"
        assert after.items[0].parts[1] == Text("and this")
        assert after.items[1] is chat.items[1]

    def test_an_answer_from_its_first_event_to_its_last(self) -> None:
        def output(kind: str, item: dict[str, object]) -> events.ServerEvent:
            return server_event(f"response.output_item.{kind}", response_id="r", output_index=0, item=item)

        image = {"id": "a", "url": "/a", "mime": "image/png", "width": 4, "height": 4}
        picture = server_event(
            "omni.image.done",
            response_id="r",
            item_id="i2",
            output_index=0,
            image=image,
            b64=base64.b64encode(PICTURE.png).decode(),
        )
        whole = message("i2", "assistant", "completed", {"type": "output_text", "text": "here"})
        chat = reduce(Conversation(), output("added", message("i2", "assistant", "in_progress")))
        assert chat.items[0].status == "in_progress"
        chat = reduce(reduce(chat, picture), output("done", whole))
        assert chat.items == (Item("i2", "assistant", (Text("here"), PICTURE)),)

    def test_a_spoken_answer_from_its_first_event_to_its_last(self) -> None:
        def sound(samples: list[int]) -> events.ServerEvent:
            delta = base64.b64encode(np.array(samples, "<i2").tobytes()).decode()
            place = {"response_id": "r", "item_id": "i2", "output_index": 0, "content_index": 0}
            return server_event("response.output_audio.delta", delta=delta, **place)

        whole = message("i2", "assistant", "completed", {"type": "output_audio", "transcript": "here it is"})
        chat = Conversation().add(Item("i2", "assistant", (), "in_progress"))
        for event in (sound([1, -2]), sound([3]), server_event("conversation.item.done", item=whole)):
            chat = reduce(chat, event)
        spoken = Speech.said(np.array([1, -2, 3], np.int16), 24_000, "here it is")
        assert chat.items == (Item("i2", "assistant", (spoken,)),)

    def test_words_of_an_answer_whose_sound_did_not_come(self) -> None:
        whole = message("i2", "assistant", "completed", {"type": "output_audio", "transcript": "here"})
        chat = reduce(Conversation(), server_event("conversation.item.done", item=whole))
        assert chat.items == (Item("i2", "assistant", (Text("here"),)),)

    def test_a_deleted_item(self) -> None:
        chat = Conversation().user("a").user("b")
        after = reduce(chat, server_event("conversation.item.deleted", item_id=chat.items[0].id))
        assert after.items == chat.items[1:]

    def test_other_events_give_the_same_object(self) -> None:
        chat = Conversation().user("a")
        assert reduce(chat, server_event("input_audio_buffer.cleared")) is chat


def test_items_are_had_by_their_place() -> None:
    chat = Conversation(system="Be brief.").user("a").assistant("b").user("c")
    assert [str(item) for item in chat] == ["user: a", "assistant: b", "user: c"]
    assert str(chat[-1]) == "user: c"
    assert chat[:2] == Conversation(system="Be brief.", items=chat.items[:2])


def test_an_item_is_edited_in_its_place() -> None:
    chat = Conversation().user("a").assistant("b")
    assert str(chat.edited(chat[0], "other", "words")) == "user: other + words\nassistant: b"
    assert str(chat) == "user: a\nassistant: b"
    with pytest.raises(OmniError, match=f"no item 'x' to edit; there are {chat[0].id}, {chat[1].id}"):
        chat.edited("x", "words")
