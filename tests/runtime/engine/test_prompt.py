from dataclasses import replace

import torch

from runtime.codecs.vocabulary import (
    BEGIN_OF_IMAGE,
    BEGIN_OF_SPEECH,
    END_OF_IMAGE,
    END_OF_SPEECH,
    SPEECH_CONTEXT,
    TURN_END,
    TURN_START,
)
from runtime.diffusion.canvas import Canvas
from runtime.engine.prompt import NOTHING_SAID, Content, EncodedImage, EncodedSpeech, EncodedTurn, lay_out
from runtime.engine.recipe import PICTURE, REPLY, TRANSCRIPT, Recipe
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
V = MODEL.vocabulary
SHORT = Recipe("short", (replace(TRANSCRIPT, length=3), replace(PICTURE, length=4), replace(REPLY, length=2)))


def canvas(*contents: Content, recipe: Recipe = SHORT) -> Canvas:
    return lay_out([EncodedTurn("user", contents)], recipe, V, MODEL.text)


def test_a_text_turn_reads_as_the_published_chat() -> None:
    row = canvas("what is this", recipe=Recipe("answer", (replace(REPLY, length=2),))).token_ids.tolist()
    text = MODEL.text.encode
    asked = [V[TURN_START], *text("user"), *text("what is this"), V[TURN_END]]
    assert row == [*asked, V[TURN_START], *text("assistant"), V.mask_id, V.mask_id, V[TURN_END]]


def test_slots_are_masked_typed_and_in_order() -> None:
    row = canvas(EncodedSpeech(torch.ones(5, 32)))
    assert [(slot.name, slot.modality, slot.length, slot.stage) for slot in row.slots] == [
        ("transcript", "text", 3, 0),
        ("image", "image", 4, 1),
        ("text", "text", 2, 2),
    ]
    assert [slot.vocabulary for slot in row.slots] == [V.text_slot, V.image, V.text_slot]
    assert int(row.masked.sum()) == 9
    assert all(row.num_masked(slot) == slot.length for slot in row.slots)


def test_a_picture_slot_stands_between_its_marks_and_knows_its_cells() -> None:
    row = canvas("a cat")
    image = row.slot("image")
    assert row.token_ids[image.start - 1] == V[BEGIN_OF_IMAGE]
    assert row.token_ids[image.start + image.length] == V[END_OF_IMAGE]
    assert row.image_cells[image.positions].tolist() == [0, 1, 2, 3]
    assert int((row.image_cells >= 0).sum()) == 4


def test_a_picture_in_the_prompt_becomes_image_tokens_with_cells() -> None:
    row = canvas(EncodedImage(torch.tensor([[0, 1], [2, 63]])))
    start = row.token_ids.tolist().index(V[BEGIN_OF_IMAGE]) + 1
    assert row.token_ids[start : start + 4].tolist() == [V.image[0] + code for code in (0, 1, 2, 63)]
    assert row.token_ids[start + 4] == V[END_OF_IMAGE]
    assert row.image_cells[start - 1 : start + 5].tolist() == [-1, 0, 1, 2, 3, -1]


def test_speech_keeps_places_for_its_rows() -> None:
    rows = torch.randn(5, 32)
    row = canvas(EncodedSpeech(rows))
    (speech,) = row.speech
    assert torch.equal(speech.embeddings, rows)
    assert row.token_ids[speech.start : speech.start + 5].tolist() == [V[SPEECH_CONTEXT]] * 5
    assert row.token_ids[speech.start - 1] == V[BEGIN_OF_SPEECH]
    assert row.token_ids[speech.start + 5] == V[END_OF_SPEECH]


def test_a_transcript_lies_along_its_speech_and_what_follows_goes_on_in_line() -> None:
    row = canvas(EncodedSpeech(torch.ones(30, 32)))
    (speech,), transcript = row.speech, row.slot("transcript")
    begin = float(row.positions[speech.start])
    assert row.positions[transcript.positions].tolist() == [begin, begin + 5, begin + 10]
    after = transcript.start + transcript.length
    assert row.positions[after] == after
    assert row.positions[: transcript.start].tolist() == list(range(transcript.start))


def test_nothing_said_has_the_same_slots_with_nothing_before_them() -> None:
    nothing = lay_out(NOTHING_SAID, SHORT, V, MODEL.text)
    said = canvas("draw two red apples")
    assert [(s.name, s.length, s.vocabulary) for s in nothing.slots] == [
        (s.name, s.length, s.vocabulary) for s in said.slots
    ]
    assert len(nothing) == len(said) - len(MODEL.text.encode("draw two red apples"))


def test_several_turns_stand_in_order() -> None:
    turns = [EncodedTurn("system", ("a",)), EncodedTurn("user", ("b",)), EncodedTurn("assistant", ("c",))]
    row = lay_out(turns, Recipe("none", ()), V, MODEL.text).token_ids.tolist()
    assert row.count(V[TURN_START]) == 4
    assert row.count(V[TURN_END]) == 4
    assert MODEL.text.decode(row) == "system a user b assistant c assistant"
