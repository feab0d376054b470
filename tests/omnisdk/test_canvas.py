"""Canvases filled in by the embedded model."""

from collections.abc import Iterator

import numpy as np
import pytest

from omnisdk.canvas import Canvas
from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import Text
from omnisdk.editing import Box, Region, Span
from omnisdk.errors import MediaError, ResponseFailed, ServerError, SettingsError
from omnisdk.media import Image, Speech
from omnisdk.partials import ImagePartial, SpeechPartial, TextPartial
from omnisdk.protocol import settings
from omnisdk.protocol.items import InputText, Message
from omnisdk.tools import tool
from runtime.evaluation.picture_checks import background_of
from runtime.training.world import BACKGROUNDS
from tests.support.embedded import serving_embedded

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving_embedded() as address:
        yield address


def test_words_and_a_picture_are_made_for_each_other(url: str) -> None:
    with Client(url) as omni:
        response = omni.fill(Canvas(Text("a cat on a red background"), Image()), seed=1)
        assert max(partial.progress for partial in response) == 1.0
        answer = response.wait()
        assert answer.text == "a cat on a red background"
        assert answer.image is not None
        assert background_of(answer.image.pixels) == "red"


def test_gaps_in_words_about_a_picture_are_filled(url: str) -> None:
    yellow = np.full((80, 80, 3), BACKGROUNDS["yellow"], np.uint8)
    yellow[20:60, 20:60] = 20
    with Client(url) as omni:
        canvas = Canvas(Text("a cat on a {mask} background"), prompt=[Image(yellow), "what is this?"])
        assert omni.fill(canvas).wait().text == "a cat on a yellow background"


async def test_a_region_is_painted_anew_and_the_rest_stays(url: str) -> None:
    async with AsyncClient(url) as omni:
        first = await (await omni.fill(Canvas(Image(), prompt="draw a cat on a blue background"), seed=2))
        assert first.image is not None
        right = np.zeros((80, 80), bool)
        right[:, 40:] = True
        canvas = Canvas(Image(first.image.pixels, mask=Region(right)), prompt="draw a cat on a green background")
        second = await (await omni.fill(canvas, seed=2))
        assert second.image is not None
        change = np.abs(first.image.pixels.astype(int) - second.image.pixels).mean(axis=(0, 2))
        assert change[:24].mean() < change[56:].mean() / 3
        assert (await second.replay()).image == second.image


def test_a_canvas_is_a_turn_of_the_conversation_where_it_answers_it(url: str) -> None:
    @tool
    def ring(times: int) -> str:
        """Ring the bell."""
        return "ringing" * times

    canvas = Canvas(Text("a cat on a red background"), Image())
    with Client(url) as omni, omni.session(tools=[ring]) as session:
        answer = session.ask("ring the bell for a picture", canvas=canvas, seed=1)
        assert not answer.tool_calls  # a laid out answer calls none
        assert answer.image is not None
        assert background_of(answer.image.pixels) == "red"
        assert [item.role for item in session.conversation.items] == ["user", "assistant"]
        assert session.conversation.items[-1] == answer.item
        assert answer.replay().wait().image == answer.image
        beside = session.fill(Canvas(Text("a {mask}"), prompt="draw a cat on a blue background")).wait()
        assert beside.text.startswith("a ")
        assert len(session.conversation) == 2
        session.send("ring the bell two times")
        assert session.respond(tool_choice="required").wait().tool_calls  # the next one may


def test_a_joint_answer_with_speech_of_a_bounded_length(url: str) -> None:
    with Client(url) as omni:
        response = omni.fill(Canvas(Text("a cat on a red background"), Image(), Speech(max_seconds=1)), seed=1)
        slots = [partial.slots for partial in response][-1]
        assert [(name, type(slot)) for name, slot in slots.items()] == [
            ("text", TextPartial),
            ("image", ImagePartial),
            ("speech", SpeechPartial),
        ]
        answer = response.wait()
        assert answer.speech is not None
        assert 0.5 < answer.speech.duration_s <= 1.0
        assert slots["speech"].length == 25
        free = omni.fill(Canvas(Text("a cat on a red background"), Speech()), seed=1).wait()
        assert free.speech is not None
        assert free.speech.duration_s > 1.2


async def test_what_the_model_cannot_fill_is_told_with_what_it_can(url: str) -> None:
    async with AsyncClient(url) as omni:
        with pytest.raises((ServerError, ResponseFailed), match="no words"):
            await (await omni.fill(Canvas(Speech(np.zeros(16_000), sample_rate_hz=16_000, mask=Span(0.2, 0.4)))))


def test_parts_stand_on_the_wire_as_they_are_laid_out() -> None:
    picture = Image(np.zeros((4, 6, 3), np.uint8), mask=Box(0, 1, 2, 3))
    spoken = Speech(np.zeros(4800), sample_rate_hz=24_000, mask=Span(0.05, 0.1))
    canvas = Canvas("two {mask}", picture, spoken, prompt="x", together=True)
    slots = [(slot.slot, slot.length, slot.beside) for slot in canvas.slots()]
    assert slots == [("text", None, False), ("image", None, True), ("speech", None, True)]
    text, image, speech = canvas.given()
    assert text == settings.GivenText(text="two {mask}")
    assert isinstance(image, settings.GivenImage)
    assert image.box == (0, 1, 2, 3)
    assert isinstance(speech, settings.GivenSpeech)
    assert (speech.ms, len(speech.audio)) == ((50, 100), 9600)
    asked = Canvas(Text(max_tokens=20), Image(), Speech(max_seconds=2.5))
    assert ([slot.length for slot in asked.slots()], asked.given()) == ([20, None, None], [])
    assert [slot.max_ms for slot in asked.slots()] == [None, None, 2500]
    assert asked.request() == Message(role="user", content=[InputText(text="")])


def test_canvases_that_make_no_sense() -> None:
    with pytest.raises(SettingsError, match="no parts"):
        Canvas()
    with pytest.raises(SettingsError, match="image came without a mask"):
        Canvas(Image(np.zeros((4, 4, 3), np.uint8)))
    with pytest.raises(SettingsError, match="a mask and no source"):
        Canvas(Image(mask=Box(0, 0, 1, 1)))
    with pytest.raises(SettingsError, match="came with a recording"):
        Canvas(Speech(np.zeros(4800), sample_rate_hz=24_000, max_seconds=1))
    with pytest.raises(SettingsError, match=r"max_seconds=0 came; give seconds, more than 0"):
        Canvas(Speech(max_seconds=0))
    with pytest.raises(SettingsError, match="3 came as a part"):
        Canvas(3)  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="only stands in a Canvas"):
        Image().encoded(100)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (lambda: Image(np.zeros((8, 6, 3), np.uint8), mask=Box(0, 0, 7, 8)), "it is 6 x 8 px: give left, top"),
        (lambda: Image(np.zeros((8, 6, 3), np.uint8), mask=Region(np.ones((6, 8)))), "a mask of 8 x 6; it is 6 x 8"),
        (lambda: Speech(np.zeros(24_000, np.int16), sample_rate_hz=24_000, mask=Span(0.5, 1.1)), "is 1.00 s long"),
        (lambda: Speech(np.zeros(24_000, np.int16), sample_rate_hz=24_000, mask=Span(0.5, 0.5)), "a later end"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_where_it_is_given(part, told: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError, match=told):
        Canvas(part())
