"""Answers tried side by side by the embedded model: about pictures it draws itself, and about what it hears."""

import gc
import weakref
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from runtime.engine.active_response import ActiveResponse
from runtime.engine.changes import Editing, Finalizing, Tuning
from runtime.engine.edits import Edit
from runtime.engine.given import GivenText
from runtime.engine.output import Finished
from runtime.engine.recipe import Recipe
from runtime.engine.request import ImagePart, SpeechPart
from runtime.engine.search import AT_ONCE
from runtime.evaluation.voices import in_silence
from runtime.executors.executor import ForwardItem
from tests.support.embedded import Crank, embedded, picture_of, slot_of

QUESTION = "what is to the left of the apple?"
RECIPE = "image_to_text"


@pytest.fixture(scope="module")
def shown() -> ImagePart:
    """A picture that the model drew, of two things."""
    crank = Crank()
    crank.ask("drawn", "draw a snake to the left of an apple on a pink background", seed=2)
    return ImagePart(picture_of(crank.finished("drawn")))


def asking(shown: ImagePart, question: str = QUESTION, recipe: Recipe | str = RECIPE, **options: object) -> Crank:
    crank = Crank()
    crank.ask("r", (shown, question), recipe, **options)
    return crank


def text_of(finished: Finished) -> str | None:
    return slot_of(finished, "text").text


def test_what_is_unsure_at_first_sight_is_found_by_what_it_would_have_drawn(shown: ImagePart) -> None:
    assert text_of(asking(shown).finished("r")) == "snake"
    assert text_of(asking(shown, "what is to the right of the snake").finished("r")) == "apple"


@pytest.mark.parametrize(("thing", "answer"), [("a snake", "yes"), ("a guitar", "no")])
def test_yes_and_no_follow_from_what_is_seen(shown: ImagePart, thing: str, answer: str) -> None:
    assert text_of(asking(shown, f"is there {thing}?").finished("r")) == answer


def test_a_few_passes_at_most_are_run_in_a_step(shown: ImagePart, monkeypatch: pytest.MonkeyPatch) -> None:
    crank, passes = asking(shown), list[int]()
    forward = crank.engine._executor.forward

    def counted(items: Sequence[ForwardItem]) -> list[Tensor]:
        passes.append(len(items))
        return forward(items)

    monkeypatch.setattr(crank.engine._executor, "forward", counted)
    finished = crank.finished("r")
    assert len(passes) == finished.steps
    assert max(passes) == AT_ONCE
    assert sum(finished.unmasked_per_step) == slot_of(finished, "text").tokens.size


def test_nothing_of_it_is_kept_with_the_answer(shown: ImagePart) -> None:
    crank = asking(shown)
    crank.turn(1)
    response = response_of(crank)
    search = weakref.ref(next(iter(response.searches.values())))
    crank.finished("r")
    assert not response.searches
    gc.collect()
    assert search() is None


def test_what_is_sure_takes_a_step(shown: ImagePart) -> None:
    finished = asking(shown, "what color is the background?").finished("r")
    assert text_of(finished) == "pink"
    assert finished.steps == 1


@pytest.mark.parametrize("numbers", [{"hypotheses": 1}, {"temperature": 0.7}])
def test_who_wants_one_answer_or_chance_gets_it(shown: ImagePart, numbers: dict[str, object]) -> None:
    recipe = embedded().recipes[RECIPE]
    crank = asking(shown, recipe=replace(recipe, slots=(replace(recipe.slots[0], **numbers),)))  # type: ignore[arg-type]
    crank.turn(1)
    assert not response_of(crank).searches


def test_the_same_answer_every_time_whoever_shares_the_engine(shown: ImagePart) -> None:
    alone = asking(shown).finished("r")
    crank = asking(shown)
    crank.ask("other", "draw a dog on a blue background")
    shared = crank.finished("r")
    assert np.array_equal(slot_of(alone, "text").tokens, slot_of(shared, "text").tokens)


def test_the_end_can_be_had_at_any_step(shown: ImagePart) -> None:
    crank = asking(shown)
    crank.turn(2)
    assert response_of(crank).searches
    crank.change("r", Finalizing())
    finished = crank.finished("r")
    assert finished.status == "incomplete"
    assert finished.steps == 3
    assert text_of(finished)


def test_who_says_how_many_steps_are_left_gets_them(shown: ImagePart) -> None:
    crank = asking(shown, "describe the picture")
    crank.turn(2)
    crank.change("r", Tuning(steps_left=2))
    assert crank.finished("r").steps <= 4


def test_an_edit_on_the_way_is_taken_into_account(shown: ImagePart) -> None:
    crank = asking(shown)
    crank.turn(2)
    tokens = tuple(embedded().text.encode("rose"))
    edit = Edit("set", "text", tuple(range(len(tokens))), tokens)
    assert crank.change("r", Editing((edit,))).error is None
    assert str(text_of(crank.finished("r"))).startswith("rose")


def test_a_fork_on_the_way_answers_as_well(shown: ImagePart) -> None:
    crank = asking(shown)
    crank.turn(2)
    crank.fork("r", "second", seed=5)
    assert text_of(crank.finished("second")) == text_of(crank.finished("r")) == "snake"


def test_words_given_are_kept_and_the_rest_is_weighed(shown: ImagePart) -> None:
    given = (GivenText("text", ("a ", " to the left of an apple on a pink background")),)
    finished = asking(shown, "what do you see?", given=given).finished("r")
    assert str(text_of(finished)).endswith(" to the left of an apple on a pink background")


def test_what_nothing_speaks_for_is_not_known() -> None:
    noise = ImagePart(np.random.default_rng(3).integers(0, 256, (80, 80, 3), dtype=np.uint8))
    assert text_of(asking(noise, "what is this?").finished("r")) == "i do not know that"


def test_a_question_that_no_claim_is_about_is_answered_plainly(shown: ImagePart) -> None:
    crank = asking(shown, "how many things are there?")
    crank.turn(1)
    assert not crank.engine.num_active or not response_of(crank).searches
    assert text_of(crank.finished("r")) == "two"


def response_of(crank: Crank) -> ActiveResponse:
    (response,) = crank.engine._active.values()
    return response


def test_a_spoken_question_is_weighed_once_it_is_heard(shown: ImagePart) -> None:
    crank = Crank()
    crank.ask("said", "what is this", "text_to_speech", seed=1)
    sound = slot_of(crank.finished("said"), "speech").speech
    assert sound is not None
    spoken = in_silence(SpeechPart(sound.pcm, sound.sample_rate_hz))
    crank.ask("heard", spoken, "speech_to_text")
    crank.ask("r", (shown, spoken), "speech_and_image_to_text")
    words = [slot_of(crank.finished(name), "transcript").text for name in ("heard", "r")]
    assert words[0] == words[1]  # whatever is shown beside it
    asked = asking(shown, str(words[0])).finished("r")
    assert text_of(crank.finished("r")) == text_of(asked)


def test_letters_decide_between_words_that_are_as_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise says nothing; what its letters are is made up here."""
    noise = SpeechPart(np.random.default_rng(1).integers(-900, 900, 20_000).astype(np.int16), 16_000)
    letters = embedded().spelled
    assert letters is not None
    told = []
    for wanted in "abcdefgh":
        rows = torch.full((60, len(letters.letters)), -9.0)
        rows[::2, letters.letters.index(wanted)] = rows[1::2, 0] = 0.0
        monkeypatch.setattr(embedded().backbone, "spell", lambda heard, rows=rows: rows.log_softmax(-1))
        crank = Crank()
        crank.ask("r", noise, "speech_to_text")
        told.append(slot_of(crank.finished("r"), "transcript").text)
    assert len(set(told)) > 1


def test_changed_chance_ends_it_and_back_again_begins_anew(shown: ImagePart) -> None:
    crank = asking(shown, "describe the picture")
    crank.turn(2)
    crank.change("r", Tuning(temperature=0.9))
    assert not response_of(crank).searches
    crank.change("r", Tuning(temperature=0.0))
    assert "on a pink background" in str(text_of(crank.finished("r")))


def test_a_guided_transcript_is_heard_one_way(shown: ImagePart) -> None:
    """Guidance compares with nothing said, which has no words to be read."""
    noise = SpeechPart(np.random.default_rng(1).integers(-900, 900, 20_000).astype(np.int16), 16_000)
    recipe = embedded().recipes["speech_and_image_to_text"]
    heard, reply = recipe.slots
    guided = replace(recipe, slots=(replace(heard, guidance_scale=1.0), replace(reply, guidance_scale=1.0)))
    crank = Crank()
    crank.ask("r", (shown, noise), guided)
    crank.turn(1)
    assert not response_of(crank).searches
    assert crank.finished("r").status == "completed"
