import numpy as np
import pytest

from omnisdk.protocol.items import OutputAudio, OutputText
from runtime.engine.output import SlotState, Sound
from runtime.server.content import Content, Spoken, Written
from runtime.server.outbox import Outbox

pytestmark = pytest.mark.anyio
PLACE = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
SOUND = Sound(np.full(22_050 * 3, 1000, np.int16), 22_050)


def text(words: str, *, complete: bool = True, name: str = "text") -> SlotState:
    return SlotState(name, "text", np.array([1, 2 if complete else -1]), np.ones(2, np.float32), text=words)


def speech(sound: Sound | None = SOUND) -> SlotState:
    return SlotState("speech", "speech", np.array([1]), np.ones(1, np.float32), speech=sound)


async def told(content: Content, outbox: Outbox, *steps: list[SlotState]) -> list[str]:
    """The types of all events of a part that begins, sees the steps and ends."""
    outbox.put()
    content.begin()
    for slots in steps:
        content.take(slots)
    content.end()
    names = []
    while outbox._entries:
        names += [str(event.__struct_config__.tag).removeprefix("response.") for event in await outbox.next()]
    return names


WRITTEN = ["content_part.added", "output_text.delta", "output_text.done", "content_part.done"]
SPOKEN_END = ["output_audio.done", "output_audio_transcript.done", "content_part.done"]
SPOKEN = ["content_part.added", "output_audio_transcript.delta", *["output_audio.delta"] * 2, *SPOKEN_END]


class TestWritten:
    async def test_it_is_told_once_when_it_is_complete(self) -> None:
        outbox = Outbox(64)
        content = Written("text", PLACE, outbox)
        steps = [[text("▒▒", complete=False)], [text(" here ")], [text("here")]]
        assert await told(content, outbox, *steps) == WRITTEN
        assert (content.words, content.part) == ("here", OutputText(text="here"))

    async def test_other_slots_are_not_its_own(self) -> None:
        outbox = Outbox(64)
        content = Written("text", PLACE, outbox)
        assert await told(content, outbox, [text("heard", name="transcript")]) == [WRITTEN[0], *WRITTEN[2:]]
        assert (content.words, content.part) == ("", OutputText(text=""))


class TestSpoken:
    async def test_its_words_then_its_sound(self) -> None:
        outbox = Outbox(64)
        content = Spoken("text", None, PLACE, outbox)
        assert await told(content, outbox, [text("here"), speech(None)], [text("here"), speech()]) == SPOKEN
        assert (content.words, content.part) == ("here", OutputAudio(transcript="here"))

    async def test_all_at_once_at_the_end(self) -> None:
        outbox = Outbox(64)
        assert await told(Spoken("text", None, PLACE, outbox), outbox, [text("here"), speech()]) == SPOKEN

    async def test_the_sound_is_told_once(self) -> None:
        outbox = Outbox(64)
        steps = [[text("here"), speech()]] * 3
        assert await told(Spoken("text", None, PLACE, outbox), outbox, *steps) == SPOKEN

    async def test_words_that_were_given_are_told_with_the_sound(self) -> None:
        outbox = Outbox(64)
        content = Spoken(None, "good morning", PLACE, outbox)
        assert await told(content, outbox, [speech(None)], [speech()]) == SPOKEN
        assert content.part == OutputAudio(transcript="good morning")

    async def test_what_was_never_said_has_no_words(self) -> None:
        outbox = Outbox(64)
        content = Spoken(None, "good morning", PLACE, outbox)
        assert await told(content, outbox, [speech(None)]) == ["content_part.added", *SPOKEN_END]
        assert (content.words, content.part) == (None, OutputAudio(transcript=""))
