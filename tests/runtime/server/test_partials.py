import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from omnisdk.protocol import events
from omnisdk.protocol.settings import PartialKind
from runtime.engine.output import Finished, SlotState, StepOutput, TextSpan, Usage
from runtime.server.partials import PartialStream

pytestmark = pytest.mark.anyio

EMPTY = SlotState("image", "image", np.full(4, -1), np.zeros(4, np.float32), grid=(2, 2))
WORDS = SlotState("text", "text", np.full(3, -1), np.zeros(3, np.float32), text="▒▒▒")


def gray() -> NDArray[np.uint8]:
    return np.full((6, 8, 3), 90, np.uint8)


def drawn(*tokens: int) -> SlotState:
    confidence = np.where(np.array(tokens) < 0, 0, 0.456).astype(np.float32)
    return replace(EMPTY, tokens=np.array(tokens), confidence=confidence, paint=gray)


def step(number: int, *slots: SlotState) -> StepOutput:
    return StepOutput("r", number, 4, number / 4, 12.6, slots)


def stream(kind: PartialKind = "both") -> PartialStream:
    return PartialStream("canvas", "r", [EMPTY, WORDS], kind)


async def test_a_delta_is_against_the_delta_sent_before() -> None:
    partials = stream("tokens")
    first = (await partials.render(step(1, drawn(7, -1, -1, -1))))[0]
    third = (await partials.render(step(3, drawn(-1, 8, 9, -1))))[0]  # the second one was never sent
    assert isinstance(first, events.OmniCanvasDelta)
    assert isinstance(third, events.OmniCanvasDelta)
    assert first.slots == [events.SlotChange(name="image", updates=[(0, 7, 0.456)], remasked=[])]
    assert third.slots == [events.SlotChange(name="image", updates=[(1, 8, 0.456), (2, 9, 0.456)], remasked=[0])]


async def test_deltas_add_up_to_the_canvas() -> None:
    partials, canvas = stream("tokens"), np.full(4, -1)
    rng = np.random.default_rng(3)
    for number in range(1, 9):
        tokens = np.where(rng.random(4) < 0.5, rng.integers(0, 5, 4), -1)
        delta = (await partials.render(step(number, drawn(*tokens))))[0]
        assert isinstance(delta, events.OmniCanvasDelta)
        for change in delta.slots:
            canvas[change.remasked] = -1
            for position, token, _ in change.updates:
                canvas[position] = token
        assert canvas.tolist() == tokens.tolist()


async def test_a_preview_is_a_png_with_a_mask() -> None:
    preview = (await stream("preview").render(step(1, drawn(7, -1, 5, -1))))[0]
    assert isinstance(preview, events.OmniImagePartial)
    assert (preview.width, preview.height, preview.rows, preview.columns) == (8, 6, 2, 2)
    assert preview.mask == [0, 1, 0, 1]
    assert preview.confidence == [0.46, 0.0, 0.46, 0.0]
    image = Image.open(io.BytesIO(preview.partial_image_b64))
    assert (image.format, image.size) == ("PNG", (8, 6))


async def test_a_picture_that_did_not_change_is_not_sent_again() -> None:
    partials = stream("preview")
    kinds = [type(event) for _ in range(2) for event in await partials.render(step(1, drawn(7, -1, 5, -1)))]
    assert kinds == [events.OmniImagePartial, events.OmniProgress, events.OmniProgress]


async def test_a_text_is_sent_when_it_changed() -> None:
    partials = stream()
    spans = (TextSpan(0, 2, False, 0.98765), TextSpan(2, 3, True, 0.0))
    known = replace(WORDS, text="a ▒", spans=spans)
    told = [*await partials.render(step(1, WORDS)), *await partials.render(step(2, known))]
    texts = [event for event in told if isinstance(event, events.OmniTextPartial)]
    assert [text.text for text in texts] == ["a ▒"]
    assert texts[0].spans[0] == events.Span(start=0, end=2, masked=False, confidence=0.99)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("tokens", [events.OmniCanvasDelta, events.OmniProgress]),
        ("preview", [events.OmniImagePartial, events.OmniProgress]),
        ("both", [events.OmniCanvasDelta, events.OmniImagePartial, events.OmniProgress]),
    ],
)
async def test_what_a_partial_holds(kind: PartialKind, told: list[type]) -> None:
    assert [type(event) for event in await stream(kind).render(step(1, drawn(1, 2, 3, -1), WORDS))] == told


async def test_progress_is_in_whole_milliseconds() -> None:
    progress = (await stream().render(step(1, EMPTY)))[-1]
    assert isinstance(progress, events.OmniProgress)
    assert (progress.step, progress.unmasked_ratio, progress.eta_ms) == (1, 0.25, 13)


async def test_progress_of_each_slot() -> None:
    spoken = SlotState("speech", "speech", np.array([4, -1, -1]), np.zeros(3, np.float32))
    progress = (await stream("preview").render(step(2, drawn(1, 2, 3, -1), WORDS, spoken)))[-1]
    assert isinstance(progress, events.OmniProgress)
    assert progress.slots == {"image": 0.75, "text": 0.0, "speech": 0.3333}


async def test_a_preview_too_large_for_a_frame_is_left_out() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    told = await stream("preview").render(step(1, replace(drawn(1, 2, 3, -1), paint=lambda: noise)))
    assert [type(event) for event in told] == [events.OmniProgress]


class TestTheEnd:
    async def test_it_tells_what_no_partial_told(self) -> None:
        partials = stream("tokens")
        await partials.render(step(1, drawn(7, -1, -1, -1), WORDS))
        delta, progress = await partials.render_end(ended(drawn(7, 8, 9, 6), WORDS))
        assert isinstance(delta, events.OmniCanvasDelta)
        assert [position for position, _, _ in delta.slots[0].updates] == [1, 2, 3]
        assert isinstance(progress, events.OmniProgress)
        assert (progress.step, progress.steps, progress.unmasked_ratio) == (3, 3, 1.0)

    async def test_it_says_nothing_twice(self) -> None:
        partials = stream("preview")
        await partials.render(step(1, drawn(7, 8, 9, 6), WORDS))
        assert await partials.render_end(ended(drawn(7, 8, 9, 6), WORDS)) == []


def ended(*slots: SlotState) -> Finished:
    return Finished("r", "completed", slots, Usage(), 3)


async def test_a_preview_that_fails_is_left_out() -> None:
    def broken() -> NDArray[np.uint8]:
        raise RuntimeError("no paint")

    told = await stream("preview").render(step(1, replace(drawn(1, 2, 3, -1), paint=broken)))
    assert [type(event) for event in told] == [events.OmniProgress]
