from dataclasses import replace

import pytest
import torch

from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import Vocabulary
from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.hearing import Hearing, hearing_of
from runtime.engine.prompt import EncodedImage, EncodedSpeech, EncodedTurn, lay_out
from runtime.engine.recipe import Recipe, SlotRecipe
from tests.support.tiny_model import SENTENCES

HEARD = SlotRecipe("transcript", "text", 6, 2, position_stride=2.0, stands_for_speech=True)
PICTURE = SlotRecipe("image", "image", 4, 2, guidance_scale=1.0)
REPLY = SlotRecipe("text", "text", 6, 2)
SPOKEN = SlotRecipe("speech", "speech", 10, 2, says="text")
RECIPE = Recipe("speech_to_image", (HEARD, PICTURE, REPLY, SPOKEN))
SPEECH = EncodedSpeech(torch.zeros(9, 16))
SHOWN = EncodedImage(torch.zeros(2, 2, dtype=torch.long))
TEXT = TextCodec.train(SENTENCES, 320)
VOCABULARY = Vocabulary.compact(TEXT.num_tokens, 32, 8)


def laid(turns: list[EncodedTurn], recipe: Recipe) -> Canvas:
    return lay_out(turns, recipe, VOCABULARY, TEXT)


def request(*contents: str | EncodedSpeech | EncodedImage, recipe: Recipe = RECIPE) -> tuple[Canvas, Hearing | None]:
    turns = [EncodedTurn("user", contents)]
    return laid(turns, recipe), hearing_of(turns, recipe, lambda turns, recipe: laid(list(turns), recipe), TEXT)


def written_down(canvas: Canvas, words: str) -> Canvas:
    slot = canvas.slot("transcript")
    ids = TEXT.encode(words)
    tokens = torch.tensor(ids + [slot.ends[0]] * (slot.length - len(ids)))
    return canvas.fill(places(slot), tokens, torch.ones(slot.length))


def places(slot: Slot) -> torch.Tensor:
    return torch.arange(slot.start, slot.start + slot.length)


@pytest.mark.parametrize("shown", [(), (SHOWN,)])
def test_once_it_is_known_the_request_looks_as_if_it_had_been_written(shown: tuple[EncodedImage, ...]) -> None:
    canvas, hearing = request(*shown, SPEECH)
    assert hearing is not None
    assert hearing.seen(canvas, canvas.slot("image")) is None  # nobody knows yet
    canvas = written_down(canvas, "two dogs")
    seen = hearing.seen(canvas, canvas.slot("image"))
    assert seen is not None
    wanted = laid([EncodedTurn("user", (*shown, "two dogs"))], replace(RECIPE, slots=(PICTURE, REPLY)))
    assert torch.equal(seen.token_ids, wanted.token_ids)
    assert torch.equal(seen.positions, wanted.positions)
    assert not seen.speech


def test_what_is_found_and_its_certainty_come_with_it() -> None:
    canvas, hearing = request(SPEECH)
    assert hearing is not None
    canvas = written_down(canvas, "two dogs")
    picture, code = canvas.slot("image"), VOCABULARY.image[0] + 3
    canvas = canvas.fill(torch.tensor([picture.start + 2]), torch.tensor([code]), torch.tensor([0.7]))
    seen = hearing.seen(canvas, picture)
    assert seen is not None
    assert seen.tokens_of(seen.slot("image")).tolist() == [seen.mask_id, seen.mask_id, code, seen.mask_id]
    assert seen.confidence[seen.slot("image").start + 2] == pytest.approx(0.7)


def test_words_that_are_changed_are_seen_changed() -> None:
    canvas, hearing = request(SPEECH)
    assert hearing is not None
    first, second = (
        hearing.seen(written_down(canvas, words), canvas.slot("text")) for words in ("two dogs", "a red cat")
    )
    assert first is not None
    assert second is not None
    assert TEXT.decode(first.token_ids.tolist()) != TEXT.decode(second.token_ids.tolist())


def test_speech_stays_where_it_is() -> None:
    canvas, hearing = request(SPEECH)
    assert hearing is not None
    assert hearing.seen(written_down(canvas, "two dogs"), canvas.slot("speech")) is None


def test_it_is_heard_without_what_is_shown_beside_it_or_was_said_before() -> None:
    turns = [EncodedTurn("user", ("hello",)), EncodedTurn("assistant", ("hi",)), EncodedTurn("user", (SHOWN, SPEECH))]
    hearing = hearing_of(turns, RECIPE, lambda turns, recipe: laid(list(turns), recipe), TEXT)
    canvas = laid(turns, RECIPE)
    assert hearing is not None
    slot = canvas.slot("transcript")
    canvas = canvas.fill(places(slot)[:2], torch.tensor(TEXT.encode("two")[:1] * 2), torch.full((2,), 0.7))
    seen = hearing.seen(canvas, slot)
    assert seen is not None
    alone = laid([EncodedTurn("user", (SPEECH,))], replace(RECIPE, slots=(HEARD,)))
    assert len(seen) == len(alone) < len(canvas)
    assert torch.equal(seen.positions, alone.positions)
    assert torch.equal(seen.tokens_of(seen.slot("transcript")), canvas.tokens_of(slot))
    assert torch.equal(seen.speech[0].embeddings, SPEECH.embeddings)


def test_of_silence_nothing_is_written() -> None:
    canvas, hearing = request(SPEECH)
    assert hearing is not None
    assert hearing.seen(written_down(canvas, ""), canvas.slot("image")) is None


def test_guidance_compares_with_nothing_said() -> None:
    _, hearing = request(SPEECH)
    assert hearing is not None
    wanted = laid([EncodedTurn("user", ())], replace(RECIPE, slots=(PICTURE, REPLY)))
    assert torch.equal(hearing.unprompted.token_ids, wanted.token_ids)


def test_written_requests_and_other_recipes_have_none() -> None:
    assert request("two dogs", recipe=replace(RECIPE, slots=(PICTURE, REPLY)))[1] is None
    assert request(SPEECH, recipe=replace(RECIPE, slots=(replace(HEARD, stands_for_speech=False), PICTURE)))[1] is None
    assert request(SPEECH, recipe=replace(RECIPE, slots=(HEARD,)))[1] is None
