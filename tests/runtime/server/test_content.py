import numpy as np
import pytest

from omnisdk.protocol.items import OutputAudio, OutputText
from runtime.engine.output import SlotState, Sound, TextSpan
from runtime.server.content import Content, GrowingText, Spoken, Written
from runtime.server.outbox import Outbox

pytestmark = pytest.mark.anyio
PLACE = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
SOUND = Sound(np.full(22_050 * 3, 1000, np.int16), 22_050)


def text(words: str, *, complete: bool = True, name: str = "text") -> SlotState:
    return SlotState(name, "text", np.array([1, 2 if complete else -1]), np.ones(2, np.float32), text=words)


def speech(sound: Sound | None = SOUND) -> SlotState:
    say = None if sound is None else lambda: sound
    return SlotState("speech", "speech", np.array([1]), np.ones(1, np.float32), sound=say)


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
        assert (content.words, content.part) == (None, OutputText(text=""))


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


def forming(known: str, rest: int, *, name: str = "text") -> SlotState:
    """A text of which the beginning is known and `rest` positions are not, a position a character."""
    tokens = np.array([1] * len(known) + [-1] * rest)
    spans = (TextSpan(0, len(known), False, 0.9), TextSpan(len(known), len(known) + rest, True, 0.0))
    return SlotState(name, "text", tokens, np.ones(len(tokens), np.float32), known + "▒" * rest, spans)


class TestTextThatForms:
    async def test_its_settled_beginning_is_told_at_once(self) -> None:
        outbox = Outbox(64)
        content = Written("text", PLACE, outbox, early=True)
        steps = [[forming("", 9)], [forming("\n a red ", 3)], [forming("a red ", 3)], [text("a red cat")]]
        kinds = await told(content, outbox, *steps)
        assert kinds == [WRITTEN[0], "output_text.delta", *WRITTEN[1:]]
        assert content.words == "a red cat"

    async def test_the_deltas_are_the_text(self) -> None:
        growing = GrowingText("text", early=True)
        steps = [
            forming("\n ", 9),
            forming("\n a ", 7),
            forming("\n a r\ufffd", 5),
            forming("\n a red c", 2),
            text("\n a red cat"),
        ]
        assert [growing.news([step]) for step in steps] == ["", "a", " r", "ed c", "at"]
        assert growing.so_far == growing.words == "a red cat"
        assert growing.told == {"text": 2}

    async def test_nothing_is_told_early_where_the_canvas_is_seen(self) -> None:
        growing = GrowingText("text", early=False)
        assert growing.news([forming("\n a red ", 3)]) == ""
        assert growing.told == {}
        assert growing.news([text("a red cat")]) == "a red cat"

    async def test_an_answer_that_is_cut_off_ends_with_what_was_told(self) -> None:
        outbox = Outbox(64)
        content = Written("text", PLACE, outbox, early=True)
        await told(content, outbox, [forming("\n a red ", 3)])
        assert content.words is None
        assert content.part == OutputText(text="a red")


class Recorder:
    """A speaker that says a sample a position."""

    hop = 4

    def __init__(self) -> None:
        self.pushed: list[tuple[int, bool]] = []

    def push(self, slot: SlotState) -> Sound:
        self.pushed.append((slot.settled, slot.complete))
        return Sound(np.full(slot.settled, 1000, np.int16), 24_000)


def saying(speaker: Recorder, known: int, length: int = 20) -> SlotState:
    tokens = np.where(np.arange(length) < known, 5, -1)
    sound = pytest.fail if known < length else lambda: SOUND
    return SlotState("speech", "speech", tokens, np.ones(length, np.float32), sound=sound, speaker=lambda: speaker)


class TestSpeechThatForms:
    async def test_it_is_said_in_stretches_that_grow(self) -> None:
        outbox, speaker = Outbox(64), Recorder()
        content = Spoken(None, "good morning", PLACE, outbox)
        kinds = await told(content, outbox, *[[saying(speaker, known)] for known in range(21)])
        assert speaker.pushed == [(4, False), (6, False), (9, False), (14, False), (20, True)]
        assert kinds.count("output_audio.delta") == 5
        assert kinds.index("output_audio_transcript.delta") < kinds.index("output_audio.delta")
        assert content.told == {"speech": 20}

    async def test_what_is_complete_at_once_is_said_at_once(self) -> None:
        outbox, speaker = Outbox(64), Recorder()
        await told(Spoken(None, "good morning", PLACE, outbox), outbox, [saying(speaker, 20)])
        assert speaker.pushed == [(20, True)]

    async def test_a_voice_that_breaks_is_told_and_the_text_stands(self) -> None:
        class Broken(Recorder):
            def push(self, slot: SlotState) -> Sound:
                raise RuntimeError("no sound")

        outbox = Outbox(64)
        content = Spoken(None, "good morning", PLACE, outbox)
        kinds = await told(content, outbox, [saying(Broken(), 20)])
        assert kinds == [SPOKEN[0], SPOKEN[1], "error", *SPOKEN_END]
        assert content.part == OutputAudio(transcript="good morning")
