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
    Vocabulary,
)
from runtime.diffusion.canvas import Canvas
from runtime.engine.prompt import (
    NOTHING_SAID,
    PUBLISHED_CHAT,
    Content,
    EncodedImage,
    EncodedSpeech,
    EncodedTurn,
    lay_out,
    render,
    settled,
    with_instructions,
)
from runtime.engine.recipe import PICTURE, PUBLISHED_RECIPES, REPLY, TRANSCRIPT, Recipe
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
    assert [slot.vocabulary for slot in row.slots] == [V.slot("text"), V.image, V.slot("text")]
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


PUBLISHED = Vocabulary.published()
ASK = EncodedTurn("user", ("what is this", EncodedImage(torch.zeros(2, 2, dtype=torch.long))))


def published(turns: list[EncodedTurn], recipe: Recipe) -> Canvas:
    return lay_out(turns, recipe, PUBLISHED, MODEL.text, PUBLISHED_CHAT)


def specials(canvas: Canvas, start: int = 0) -> list[str]:
    names = {token: name for name, token in PUBLISHED.special.items()}
    return [names[token] for token in canvas.token_ids[start:].tolist() if token in names]


def test_the_published_chat_is_written_with_line_breaks() -> None:
    turns = [EncodedTurn("system", ("be brief",)), ASK]
    assert render(turns, PUBLISHED_CHAT) == (
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nwhat is this\n<|image|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_text_between_marks_is_cut_in_one_piece() -> None:
    row = published([EncodedTurn("user", ("a cat",))], PUBLISHED_RECIPES["image_to_text"]).token_ids.tolist()
    between = row[1 : row.index(PUBLISHED[TURN_END])]
    assert between == MODEL.text.encode("user\na cat")


def test_a_published_answer_ends_inside_its_slot() -> None:
    canvas = published([ASK], PUBLISHED_RECIPES["image_to_text"])
    (slot,) = canvas.slots
    assert slot.start + slot.length == len(canvas)
    assert PUBLISHED[TURN_END] in slot.ends


def test_a_published_picture_is_closed_and_the_turn_with_it() -> None:
    canvas = published([EncodedTurn("user", ("a cat",))], PUBLISHED_RECIPES["text_to_image"])
    (slot,) = canvas.slots
    assert slot.length == 256
    assert specials(canvas, slot.start + slot.length) == [END_OF_IMAGE, TURN_END]
    assert int(canvas.token_ids[slot.start - 1]) == PUBLISHED[BEGIN_OF_IMAGE]


def test_a_spoken_answer_has_its_begin_after_a_fifth_of_the_tokens() -> None:
    canvas = published(
        [EncodedTurn("user", (EncodedSpeech(torch.ones(5, 32)),))], PUBLISHED_RECIPES["speech_to_speech"]
    )
    text, speech = canvas.slots
    assert (text.length, speech.length) == (25, 102)
    assert int(canvas.token_ids[speech.start - 1]) == PUBLISHED[BEGIN_OF_SPEECH]
    assert speech.start - text.start == int(0.2 * 128) + 1


def test_a_recipe_puts_its_own_words_to_the_model() -> None:
    said = EncodedTurn("user", ("a red cube",))
    told = with_instructions([said], PUBLISHED_RECIPES["text_to_image"], PUBLISHED_CHAT)
    assert told == [EncodedTurn("user", ("Generate an image based on the provided text description.", "a red cube"))]
    spoken = PUBLISHED_RECIPES["speech_to_image"]
    own = [EncodedTurn("system", ("in oil",)), EncodedTurn("user", (EncodedSpeech(torch.ones(1, 1)),))]
    assert with_instructions(own, spoken, PUBLISHED_CHAT)[0] == EncodedTurn("system", (spoken.system, "in oil"))


def test_nothing_said_is_told_no_instruction() -> None:
    assert with_instructions(NOTHING_SAID, PUBLISHED_RECIPES["text_to_image"], PUBLISHED_CHAT) == list(NOTHING_SAID)


def test_lengths_follow_the_conversation() -> None:
    said = EncodedTurn("user", ("a cat above a dog",))
    count = len(MODEL.text.encode("a cat above a dog"))
    recipe = settled([said], PUBLISHED_RECIPES["text_to_speech"], MODEL.text, PUBLISHED_CHAT)
    assert recipe.slots[0].length == int(3.5 * count)
    assert recipe.slots[0].steps == int(3.5 * count) // 2
    heard = [EncodedTurn("user", (EncodedSpeech(torch.ones(100, 32)),))]
    recipe = settled(heard, PUBLISHED_RECIPES["speech_to_text"], MODEL.text, PUBLISHED_CHAT)
    canvas = published(heard, recipe)
    assert recipe.slots[0].length == int(0.2 * canvas.slots[0].start)
    assert settled(heard, recipe, MODEL.text) is recipe
