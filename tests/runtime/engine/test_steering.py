"""What steering does to the answers of the embedded model: what was asked for anew changes, the rest stays."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.changes import Steering
from runtime.engine.edits import Edit, EditError
from runtime.engine.request import SpeechPart
from runtime.engine.steering import Weighing, carried_over
from runtime.evaluation.picture_checks import background_of
from runtime.executors.executor import ForwardItem
from tests.support.embedded import Crank, picture_of, said, slot_of

MASK = 30


def steered(before: str, after: str, at_step: int, seed: int, **steering: object) -> Crank:
    crank = Crank()
    crank.ask("r", before, seed=seed)
    crank.turn(at_step)
    assert crank.change("r", Steering(said(after), **steering)).error is None  # type: ignore[arg-type]
    return crank


@pytest.mark.parametrize("at_step", [4, 8])
def test_the_background_follows_another_request(at_step: int) -> None:
    told = []
    for seed, thing in enumerate(["cat", "pizza"]):
        blue, green = (f"draw a {thing} on a {color} background" for color in ("blue", "green"))
        finished = steered(blue, green, at_step, seed).finished("r")
        told.append(background_of(picture_of(finished)))
        assert "green" in str(slot_of(finished, "text").text)
    assert told == ["green"] * 2


def test_what_is_as_good_for_the_new_request_stays() -> None:
    crank = steered("draw a dog on a blue background", "draw a lemon on a blue background", 8, 1)
    crank.turn(1)
    (response,) = crank.engine._active.values()
    kept = ~response.canvas.masked[response.canvas.slot("image").positions].view(10, 10)
    rim = torch.ones(10, 10, dtype=torch.bool)
    rim[1:9, 1:9] = False
    # The rim is background in both; what the dog covered is opened sooner.
    assert kept[rim].float().mean() > 0.25 > kept[3:7, 3:7].float().mean()
    assert background_of(picture_of(crank.finished("r"))) == "blue"


def test_nothing_is_opened_by_a_bound_of_0() -> None:
    crank = steered("draw a cat on a blue background", "draw a pizza on a green background", 8, 1, bound=0.0)
    assert crank.finished("r").unmasked_per_step[8] == 0


def test_exactly_what_is_named_is_opened() -> None:
    right = tuple(cell for cell in range(100) if cell % 10 >= 5)
    crank = Crank()
    crank.ask("plain", "draw a cat on a blue background", seed=2)
    plain = slot_of(crank.finished("plain"), "image").tokens.reshape(10, 10)
    opened = (Edit("mask", "image", right),)
    crank = steered("draw a cat on a blue background", "draw a cat on a green background", 8, 2, opened=opened)
    after = slot_of(crank.finished("r"), "image").tokens.reshape(10, 10)
    assert np.array_equal(plain[:, :5], after[:, :5])
    assert not np.array_equal(plain[:, 5:], after[:, 5:])


def row(tokens: list[int], prompt: int) -> Canvas:
    slot = Slot("text", "text", prompt, len(tokens), (0, 10), stage=0)
    ids = torch.tensor([1] * prompt + tokens)
    return Canvas(ids, torch.arange(len(ids)).float(), torch.full((len(ids),), -1), (slot,), MASK)


def test_what_became_less_likely_is_opened_and_pins_are_not_weighed() -> None:
    before = row([3, 4, MASK, 5], 2).pin(torch.tensor([5]))
    after = carried_over(before, row([MASK] * 4, 3))
    weighing = Weighing(before, after, bound=0.5)
    old, new = weighing.items()
    assert (old.rows.tolist(), new.rows.tolist()) == ([2, 3], [3, 4])
    assert old.canvas.masked.sum() == new.canvas.masked.sum() == 3
    scores = torch.zeros(2, 10)
    unlike = scores.clone()
    unlike[1, 7] = 20.0  # where 4 stands, 7 belongs now
    assert weighing.weighed([scores, unlike]).tokens_of(after.slots[0]).tolist() == [3, MASK, MASK, 5]


def test_an_answer_with_other_slots_is_another_answer() -> None:
    with pytest.raises(EditError, match="would have other slots"):
        carried_over(row([MASK] * 4, 2), row([MASK] * 5, 2))


def spoken(words: str) -> SpeechPart:
    """In the model's own voice."""
    crank = Crank()
    crank.ask("said", words, "text_to_speech", seed=1)
    sound = slot_of(crank.finished("said"), "speech").speech
    assert sound is not None
    return SpeechPart(sound.pcm, sound.sample_rate_hz)


def test_a_request_that_is_steered_by_speech_is_read_as_written_once_it_is_heard() -> None:
    blue, pink = (spoken(f"draw a lemon on a {color} background") for color in ("blue", "pink"))
    crank = Crank()
    crank.ask("r", blue, "speech_to_image", seed=1)
    crank.turn(6)
    assert crank.change("r", Steering(said(pink))).error is None
    passes: list[tuple[str, bool]] = []  # which slot, and whether speech is seen

    forward = crank.engine._executor.forward

    def watched(items: Sequence[ForwardItem]) -> list[Tensor]:
        passes.extend((slot_at(item), bool(item.canvas.speech)) for item in items)
        return forward(items)

    crank.engine._executor.forward = watched  # type: ignore[method-assign]
    finished = crank.finished("r")
    assert "pink" in str(slot_of(finished, "transcript").text)
    assert background_of(picture_of(finished)) == "pink"
    last = passes[-4:]
    assert [heard for _, heard in last] == [False] * 4
    assert {name for name, _ in passes} == {"transcript", "image", "text"}


def slot_at(item: ForwardItem) -> str:
    row = int(item.rows[0])
    return next(slot.name for slot in item.canvas.slots if slot.start <= row < slot.start + slot.length)
