"""Partials are folded from events: by hand, and beside the canvas that a real server tells about."""

import asyncio
import base64
import json
from collections.abc import Iterable, Sequence
from itertools import count

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisdk.partials import ImagePartial, Partial, SlotPartial, SpeechPartial, TextPartial, fold_partial
from omnisdk.protocol import events, wire
from runtime.engine.output import SlotState, StepOutput
from runtime.server.answer import _layout
from runtime.server.partials import PartialStream
from tests.support.fake_runtime import picture

CREATED = {
    "canvas_id": "c",
    "response_id": "r",
    "steps": 4,
    "seed": 1,
    "slots": [
        {"name": "transcript", "modality": "text", "length": 2},
        {"name": "text", "modality": "text", "length": 3},
        {"name": "image", "modality": "image", "length": 4, "rows": 2, "columns": 2},
        {"name": "speech", "modality": "speech", "length": 5},
    ],
}


def server_event(kind: str, **fields: object) -> events.ServerEvent:
    return wire.decode_server_event(json.dumps({"type": kind, "event_id": "event_1", **fields}))


def progress(step: int, ratio: float, **slots: float) -> events.ServerEvent:
    told = {"step": step, "steps": 4, "unmasked_ratio": ratio, "eta_ms": 10, "slots": slots}
    return server_event("omni.progress", response_id="r", **told)


def text_partial(slot: str, text: str, *masked: tuple[int, int]) -> events.ServerEvent:
    spans = [{"start": start, "end": end, "masked": True, "confidence": 0.0} for start, end in masked]
    return server_event("omni.text.partial", response_id="r", slot=slot, text=text, spans=spans)


def image_partial() -> events.ServerEvent:
    return server_event(
        "omni.image.partial",
        response_id="r",
        slot="image",
        step=1,
        steps=4,
        partial_image_index=0,
        width=80,
        height=80,
        mime="image/png",
        partial_image_b64=base64.b64encode(picture(set())).decode(),
        rows=2,
        columns=2,
        mask=[0, 0, 1, 1],
        confidence=[0.5, 0.25, 0, 0],
    )


def delta(**slots: tuple[Sequence[tuple[int, int, float]], Sequence[int]]) -> events.ServerEvent:
    """Of each slot, what was filled in and what was opened."""
    told = [{"name": name, "updates": filled, "remasked": opened} for name, (filled, opened) in slots.items()]
    common = {"canvas_id": "c", "response_id": "r", "step": 1, "steps": 4, "unmasked_ratio": 0.5}
    return server_event("omni.canvas.delta", slots=told, **common)


def folded(told: Iterable[events.ServerEvent]) -> Partial:
    partial = Partial()
    for event in told:
        partial = fold_partial(partial, event)
    return partial


def laid_out() -> Partial:
    return folded([server_event("omni.canvas.created", **CREATED)])


class TestSlots:
    def test_the_canvas_gives_their_names_kinds_and_lengths(self) -> None:
        slots = laid_out().slots
        assert [(name, type(slot), slot.length) for name, slot in slots.items()] == [
            ("transcript", TextPartial, 2),
            ("text", TextPartial, 3),
            ("image", ImagePartial, 4),
            ("speech", SpeechPartial, 5),
        ]
        assert [slot.modality for slot in slots.values()] == ["text", "text", "image", "speech"]
        assert laid_out().text == "▒▒▒"

    def test_a_slot_of_a_kind_that_is_not_known_is_one_too(self) -> None:
        smells = {**CREATED, "slots": [{"name": "nose", "modality": "smell", "length": 2}]}
        partial = folded([server_event("omni.canvas.created", **smells), delta(nose=([(1, 7, 0.5)], []))])
        assert (partial.slots["nose"].modality, seen(partial.slots["nose"])) == ("unknown", [(-1, None), (7, 0.5)])

    def test_what_is_known_what_is_masked_and_how_sure(self) -> None:
        partial = fold_partial(laid_out(), delta(text=([(2, 77, 0.5)], [])))
        text, speech = partial.slots["text"], partial.slots["speech"]
        assert text.tokens.tolist() == [-1, -1, 77]
        assert text.masked.tolist() == [True, True, False]
        assert (text.confidence.dtype, text.confidence[2]) == (np.float32, 0.5)
        assert np.isnan(text.confidence[:2]).all()
        assert speech.masked.tolist() == [True] * 5
        opened = fold_partial(partial, delta(text=([(0, 5, 1.0)], [2]))).slots["text"]
        assert opened.tokens.tolist() == [5, -1, -1]
        assert text.tokens.tolist() == [-1, -1, 77]  # a partial stays what it was

    def test_none_of_it_can_be_written_to(self) -> None:
        text = fold_partial(laid_out(), delta(text=([(2, 77, 0.5)], []))).slots["text"]
        with pytest.raises(ValueError, match="read-only"):
            text.tokens[0] = 1

    def test_progress_of_each(self) -> None:
        partial = fold_partial(laid_out(), progress(2, 0.5, text=1.0, speech=0.25, other=0.1))
        assert {name: slot.progress for name, slot in partial.slots.items()} == {
            "transcript": 0.0,
            "text": 1.0,
            "image": 0.0,
            "speech": 0.25,
        }
        assert (partial.step, partial.steps, partial.progress, partial.eta_ms) == (2, 4, 0.5, 10)
        assert str(partial.slots["speech"]) == "speech 25%"

    def test_what_can_be_heard_so_far(self) -> None:
        place = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
        pieces = [np.full(4, value, "<i2").tobytes() for value in (1, 2)]
        told = [
            server_event("response.output_audio.delta", delta=base64.b64encode(pcm).decode(), **place) for pcm in pieces
        ]
        partial = laid_out()
        assert partial.speech is None
        for event in told:
            partial = fold_partial(partial, event)
        assert partial.speech is not None
        assert partial.speech.pcm.tolist() == [1] * 4 + [2] * 4


class TestTexts:
    def test_masked_letters_are_shown_as_such(self) -> None:
        partial = fold_partial(Partial(), text_partial("text", "two red apples", (4, 7), (8, 10)))
        assert partial.text == "two ▒▒▒ ▒▒ples"
        assert partial.transcript == ""
        assert str(fold_partial(partial, progress(2, 0.5))) == "step 2/4 50% two ▒▒▒ ▒▒ples"

    def test_a_masked_span_keeps_the_spaces_between_words(self) -> None:
        assert fold_partial(Partial(), text_partial("text", "a b c", (0, 3))).text == "▒ ▒ c"

    def test_the_transcript_slot_is_what_was_heard(self) -> None:
        partial = folded([text_partial("text", "hi"), text_partial("transcript", "draw")])
        assert (partial.text, partial.transcript) == ("hi", "draw")

    def test_how_sure_each_letter_is(self) -> None:
        spans = [
            {"start": 0, "end": 2, "masked": False, "confidence": 0.75},
            {"start": 2, "end": 4, "masked": True, "confidence": 0.0},
        ]
        told = server_event("omni.text.partial", response_id="r", slot="text", text="ab▒▒", spans=spans)
        slot = fold_partial(laid_out(), told).slots["text"]
        assert isinstance(slot, TextPartial)
        assert slot.letters[:2].tolist() == [0.75, 0.75]
        assert np.isnan(slot.letters[2:]).all()
        assert str(slot) == "text 0% ab▒▒"


class TestPictures:
    def test_with_their_grids(self) -> None:
        image = fold_partial(Partial(), image_partial()).image
        assert image is not None
        assert image.size == (80, 80)
        assert image.mask.tolist() == [[False, False], [True, True]]
        assert image.confidence.tolist() == [[0.5, 0.25], [0.0, 0.0]]

    def test_alone_they_tell_what_is_masked(self) -> None:
        slot = fold_partial(laid_out(), image_partial()).slots["image"]
        assert (slot.masked.tolist(), len(slot.tokens)) == ([False, False, True, True], 0)

    @pytest.mark.parametrize("picture_first", [True, False])
    def test_beside_tokens_those_tell_it(self, picture_first: bool) -> None:
        told = [image_partial(), delta(image=([(3, 9, 0.123)], []))]
        slot = folded([server_event("omni.canvas.created", **CREATED), *(told if picture_first else told[::-1])]).slots[
            "image"
        ]
        assert isinstance(slot, ImagePartial)
        assert slot.masked.tolist() == [True, True, True, False]
        assert slot.image is not None


def test_other_events_change_nothing() -> None:
    partial = Partial(step=1)
    assert fold_partial(partial, server_event("input_audio_buffer.cleared")) is partial
    assert fold_partial(partial, delta(unknown=([(0, 1, 0.5)], []))).slots == {}


# Beside the canvas itself

LENGTHS = {"text": 5, "image": 4, "speech": 3}
KINDS = {"text": "text", "image": "image", "speech": "speech"}
POSITION = st.tuples(st.integers(-1, 3), st.sampled_from([0.125, 0.5, 0.875]))  # a token and how sure it is
CANVAS = st.fixed_dictionaries({name: st.lists(POSITION, min_size=n, max_size=n) for name, n in LENGTHS.items()})
MOMENT = st.tuples(CANVAS, st.sampled_from(["sent", "sent", "skipped", "lost"]))


def state(canvas: dict[str, list[tuple[int, float]]]) -> tuple[SlotState, ...]:
    return tuple(_slot_state(name, positions) for name, positions in canvas.items())


def _slot_state(name: str, positions: list[tuple[int, float]]) -> SlotState:
    tokens = np.array([token for token, _ in positions])
    confidence = np.array([sure for _, sure in positions], np.float32)
    text = "".join("▒" if token < 0 else "abcd"[token] for token in tokens) if name == "text" else None
    return SlotState(name, KINDS[name], tokens, confidence, text, grid=(2, 2) if name == "image" else None)  # type: ignore[arg-type]


def seen(slot: SlotPartial) -> list[tuple[int, float | None]]:
    sure = [None if np.isnan(value) else float(value) for value in slot.confidence]
    return list(zip(slot.tokens.tolist(), sure, strict=True))


def blank() -> dict[str, list[tuple[int, float]]]:
    return {name: [(-1, 0.0)] * length for name, length in LENGTHS.items()}


async def told_by_a_server(moments: Sequence[tuple[dict[str, list[tuple[int, float]]], str]]) -> None:
    """Some moments are skipped, as for a slow client, and some are lost with their socket."""
    slots, steps = state(blank()), count(1)
    stream = PartialStream("c", "r", slots, "both")
    layout = [_layout(slot) for slot in slots]
    partial = folded([events.OmniCanvasCreated(canvas_id="c", response_id="r", steps=9, seed=1, slots=layout)])
    for canvas, fate in moments:
        if fate == "skipped":
            continue
        told = await stream.render(StepOutput("r", next(steps), 9, 0.5, 1.0, state(canvas)))
        if fate == "lost":
            stream.forget()
            continue
        for event in told:
            partial = fold_partial(partial, wire.decode_server_event(wire.encode(event)))
        for name, positions in canvas.items():
            assert seen(partial.slots[name]) == [(t, None if t < 0 else sure) for t, sure in positions]
        assert partial.text == next(slot.text for slot in state(canvas) if slot.text is not None)
        known = [token >= 0 for token, _ in canvas["speech"]]
        assert partial.slots["speech"].progress == pytest.approx(np.mean(known), abs=1e-3)


@given(st.lists(MOMENT, max_size=8))
@settings(max_examples=60, deadline=None)
def test_whatever_is_sent_the_partial_is_the_canvas(
    moments: list[tuple[dict[str, list[tuple[int, float]]], str]],
) -> None:
    asyncio.run(told_by_a_server(moments))


CHANGE = st.dictionaries(st.integers(0, 4), st.one_of(st.none(), POSITION.map(lambda at: (abs(at[0]), at[1]))))


def change(positions: dict[int, tuple[int, float] | None]) -> events.ServerEvent:
    filled = [(at, *told) for at, told in positions.items() if told is not None]
    return delta(speech=(filled, [at for at, told in positions.items() if told is None]))


@given(st.lists(CHANGE, min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_deltas_merged_anywhere_give_the_same(
    changes: list[dict[int, tuple[int, float] | None]], data: st.DataObject
) -> None:
    merged = [dict(changes[0])]
    for later in changes[1:]:
        if data.draw(st.booleans()):
            merged[-1] |= later
        else:
            merged.append(dict(later))
    whole, short = (seen(_all_of(told).slots["speech"]) for told in (changes, merged))
    assert whole == short


def _all_of(changes: list[dict[int, tuple[int, float] | None]]) -> Partial:
    return folded([server_event("omni.canvas.created", **CREATED), *(change(positions) for positions in changes)])


@given(st.permutations(range(4)))
def test_the_events_of_one_partial_may_come_in_any_order(order: list[int]) -> None:
    group = [delta(image=([(0, 7, 0.5)], [])), text_partial("text", "a▒▒", (1, 3)), image_partial(), progress(1, 0.3)]
    partial = folded([server_event("omni.canvas.created", **CREATED), *(group[at] for at in order)])
    text, image = partial.slots["text"], partial.slots["image"]
    assert (partial.text, seen(image), len(seen(text))) == ("a▒▒", [(7, 0.5), (-1, None), (-1, None), (-1, None)], 3)
    assert partial.preview is not None
    assert msgspec.to_builtins(partial.preview.mask) == (0, 0, 1, 1)
