"""What the record of an answer says makes the same answer again, on the embedded model."""

from dataclasses import replace

import pytest

from runtime.engine.changes import Change, Dated, Editing, Finalizing, Reseeding, Steering, Tuning
from runtime.engine.edits import Edit
from runtime.engine.request import ImagePart
from tests.support.embedded import Crank, embedded, picture_of, said, tokens_of

WORDS = "draw a cat on a blue background"
TOP = tuple(range(30))
RECIPE = embedded().recipes["text_to_image"]
QUICK = replace(RECIPE, slots=tuple(replace(slot, steps=4) for slot in RECIPE.slots))


def again(crank: Crank, first: str) -> None:
    """The same request with what the record of the first says, and no deadline."""
    record = crank.finished(first).record
    assert record is not None
    crank.ask("again", WORDS, record.recipe, seed=record.seed, changes=record.changes)


@pytest.mark.parametrize(
    "change",
    [
        Editing((Edit("mask", "image", TOP),)),
        Tuning(steps_left=3, temperature=0.5),
        Steering(said("draw a dog on a green background")),
        Steering(said("draw a dog on a green background"), opened=(Edit("mask", "image", TOP),)),
        Finalizing(),
    ],
    ids=lambda change: type(change).__name__,
)
def test_an_answer_is_made_again_from_its_record(change: Change) -> None:
    crank = Crank()
    crank.ask("first", WORDS, QUICK, seed=5)
    crank.turn(4)
    assert crank.change("first", change).error is None
    again(crank, "first")
    first, second = crank.finished("first"), crank.finished("again")
    assert tokens_of(first) == tokens_of(second)
    assert (first.status, first.steps, first.record) == (second.status, second.steps, second.record)


def test_another_seed_makes_another_answer() -> None:
    crank = Crank()
    for name, seed in (("a", 1), ("b", 2)):
        crank.ask(name, WORDS, seed=seed)
    assert tokens_of(crank.finished("a")) != tokens_of(crank.finished("b"))


def test_a_fork_is_made_again_from_its_record() -> None:
    crank = Crank()
    crank.ask("first", WORDS, seed=5)
    crank.turn(4)
    crank.fork("first", "twin", seed=9)
    again(crank, "twin")
    first, twin = crank.finished("first"), crank.finished("twin")
    assert twin.record is not None
    assert (twin.record.seed, twin.record.changes) == (5, (Dated(4, Reseeding(9)),))
    assert tokens_of(twin) == tokens_of(crank.finished("again")) != tokens_of(first)


def test_an_answer_hurried_by_its_deadline_is_made_again_without_one() -> None:
    crank = Crank()
    crank.ask("warm", WORDS)
    crank.finished("warm")  # the engine knows how long a step takes
    crank.ask("first", WORDS, seed=5, deadline_ms=150, floor_steps=2)
    first = crank.finished("first")
    assert first.steps < 8
    again(crank, "first")
    assert tokens_of(crank.finished("again")) == tokens_of(first)


def test_an_early_step_can_be_gone_on_from_while_it_runs_and_after() -> None:
    crank = Crank()
    crank.ask("first", WORDS, seed=5, kept_steps=64)
    crank.turn(5)
    crank.change("first", Steering(said("draw a cat on a green background")))
    crank.turn(2)
    crank.fork("first", "before", seed=5, at_step=3)
    first, before = crank.finished("first"), crank.finished("before")
    crank.fork("first", "after", seed=5, at_step=3)
    crank.ask("plain", WORDS, seed=5)
    # What was steered away is undone; chance goes on from the same seed, so all three are the answer without it.
    plain = tokens_of(crank.finished("plain"))
    assert tokens_of(before) == tokens_of(crank.finished("after")) == plain != tokens_of(first)


def test_steps_that_are_not_kept_are_refused_by_name() -> None:
    crank = Crank()
    crank.ask("first", WORDS, kept_steps=2)
    crank.turn(5)
    crank.fork("first", "early", seed=1, at_step=1)
    crank.turn()
    assert "step 1 came; steps 3 to 5 are kept" in str(crank.outputs[1].error)  # type: ignore[union-attr]
    crank.engine.forget("first")
    crank.fork("first", "late", seed=1, at_step=5)
    assert "no request 'first' is running" in str(crank.outputs[-1].error)  # type: ignore[union-attr]


def test_a_wanted_change_that_cannot_be_made_ends_the_answer_with_a_reason() -> None:
    crank = Crank()
    crank.ask("r", WORDS, changes=(Dated(2, Editing((Edit("mask", "image", (100,)),))),))
    crank.turn()
    assert "the change after step 2 cannot be made: position 100" in str(crank.outputs[-1].error)  # type: ignore[union-attr]


def test_steering_to_another_kind_of_turn_is_refused() -> None:
    crank = Crank()
    crank.ask("r", WORDS)
    crank.turn(2)
    picture = picture_of(crank.finished("r"))
    crank.ask("again", WORDS)
    crank.turn(2)
    reply = crank.change("again", Steering(said(ImagePart(picture), "a cat")))
    assert "the answer rests on no picture" in str(reply.error)
