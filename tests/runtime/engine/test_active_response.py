from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from runtime.codecs.vocabulary import END_OF_TEXT
from runtime.engine.active_response import ActiveResponse
from runtime.engine.changes import Editing, Tuning
from runtime.engine.edits import Edit, EditError
from runtime.engine.prompt import NOTHING_SAID, EncodedSpeech, EncodedTurn, lay_out
from runtime.engine.recipe import PICTURE, REPLY, TRANSCRIPT, Recipe
from runtime.engine.request import GenerationRequest
from runtime.executors.executor import ForwardItem, Reuse
from runtime.executors.scripted import ScriptedExecutor
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
STEADY = replace(REPLY, commit="schedule")  # scripts are sure of everything
V = MODEL.vocabulary
END = V[END_OF_TEXT]
RECIPE = Recipe(
    "all",
    (
        replace(TRANSCRIPT, commit="schedule", length=6, steps=3),
        replace(PICTURE, length=9, steps=3, temperature=0.0, confidence_noise=0.0),
        replace(STEADY, length=4, steps=2),
    ),
)


def response(recipe: Recipe = RECIPE, deadline_ms: int | None = None) -> ActiveResponse:
    turn = EncodedTurn("user", ("draw a cat", EncodedSpeech(torch.ones(5, 32))))
    return ActiveResponse(
        GenerationRequest("r", (), recipe, deadline_ms=deadline_ms),
        sink=lambda output: None,
        submitted_s=10.0,
        recipe=recipe,
        canvas=lay_out([turn], recipe, V, MODEL.text),
        unprompted=lay_out(NOTHING_SAID, recipe, V, MODEL.text),
        began_s=11.0,
    )


def run(active: ActiveResponse, executor: ScriptedExecutor, steps: int = 99) -> None:
    while not active.complete and steps:
        active.advance(executor.forward(active.items()), V)
        steps -= 1


def test_slots_are_filled_one_after_the_other_in_the_steps_of_their_recipes() -> None:
    active = response()
    assert active.planned_steps == 8
    run(active, ScriptedExecutor({}), 3)
    assert [active.canvas.num_masked(slot) for slot in active.canvas.slots] == [0, 9, 4]
    run(active, ScriptedExecutor({}))
    assert active.complete
    assert active.num_steps == active.planned_steps == 8
    assert sum(active.unmasked_per_step) == 6 + 9 + 4


def test_the_answer_is_the_scripted_one() -> None:
    active = response()
    picture = [V.image[0] + i for i in range(9)]
    run(active, ScriptedExecutor({"transcript": [5, 6, END], "image": picture, "text": [7, END]}))
    tokens = {slot.name: active.canvas.tokens_of(slot).tolist() for slot in active.canvas.slots}
    assert tokens == {"transcript": [5, 6, END, END, END, END], "image": picture, "text": [7, END, END, END]}


def test_a_text_that_ends_early_takes_fewer_steps() -> None:
    active = response(Recipe("hear", (replace(TRANSCRIPT, commit="schedule", length=6, steps=6),)))
    run(active, ScriptedExecutor({"transcript": [5, END]}))
    assert active.unmasked_per_step == [1, 5]
    assert active.planned_steps == 2


def test_guidance_compares_with_nothing_said_at_the_same_place_of_the_slot() -> None:
    active = response()
    run(active, ScriptedExecutor({}), 4)
    prompted, unprompted = active.items()
    image = active.canvas.slot("image")
    twin = unprompted.canvas.slot("image")
    assert (prompted.rows - image.start).tolist() == (unprompted.rows - twin.start).tolist()
    assert torch.equal(prompted.canvas.tokens_of(image), unprompted.canvas.tokens_of(twin))
    assert 0 < unprompted.canvas.num_masked(twin) < 9
    # What was heard earlier stays unsaid there.
    assert unprompted.canvas.num_masked(unprompted.canvas.slot("transcript")) == 6
    assert unprompted.canvas.speech == ()


def test_only_guided_slots_take_a_second_item() -> None:
    active = response()
    assert len(active.items()) == 1
    assert active.num_canvases == 2
    assert len(response(Recipe("hear", (TRANSCRIPT,))).items()) == 1


def test_guidance_changes_the_answer() -> None:
    recipe = Recipe("draw", (replace(PICTURE, length=4, steps=1, temperature=0.0),))
    active = response(recipe)
    size = V.image[1] - V.image[0]
    prompted, unprompted = torch.zeros(4, size), torch.zeros(4, size)
    prompted[:, 1], prompted[:, 2] = 3.0, 2.0
    unprompted[:, 1], unprompted[:, 2] = 3.0, 0.0
    active.advance([prompted, unprompted], V)
    assert active.canvas.tokens_of(active.canvas.slots[0]).tolist() == [V.image[0] + 2] * 4


def test_committing_fills_every_slot_in_one_step() -> None:
    active = response()
    run(active, ScriptedExecutor({}), 4)
    active.committing = True
    assert len(active.items()) == 3
    run(active, ScriptedExecutor({"text": [8, END]}), 1)
    assert active.complete
    assert active.num_steps == 5
    assert active.canvas.tokens_of(active.canvas.slot("text")).tolist() == [8, END, END, END]


def test_guesses_hold_what_stands_and_the_best_of_the_rest() -> None:
    active = response()
    run(active, ScriptedExecutor({"transcript": [5, 6, 7]}), 1)
    assert active.guesses["transcript"].tolist() == [5, 6, 7, 7, 7, 7]
    assert "image" not in active.guesses


def test_usage_counts_what_was_said_not_the_padding() -> None:
    active = response()
    run(active, ScriptedExecutor({"transcript": [5, 6, END], "text": [END]}))
    usage = active.usage()
    assert (usage.input_speech, usage.input_image) == (5, 0)
    assert usage.input_text == active.canvas.slots[0].start - 5
    assert (usage.output_text, usage.output_image, usage.steps) == (2, 9, active.num_steps)


def test_time_left_goes_by_the_steps_so_far() -> None:
    active = response()
    run(active, ScriptedExecutor({}), 2)
    assert active.eta_ms(now_s=12.0) == pytest.approx(500 * 6)


def paced(now_s: float, step_s: float, deadline_ms: int | None = 500, **request: int) -> ActiveResponse:
    active = response(deadline_ms=deadline_ms)
    active.request = replace(active.request, **request)  # type: ignore[arg-type]
    active.keep_pace(now_s, step_s)
    return active


def test_a_deadline_counts_from_submission() -> None:
    assert not paced(1e9, 0, deadline_ms=None).committing
    assert not paced(10.4, 0).committing
    assert paced(10.5, 0).committing


def test_steps_are_left_out_when_there_is_no_time_for_all() -> None:
    hurried = paced(10.0, 0.1)
    assert (hurried.planned_steps, hurried.committing) == (5, False)
    run(hurried, ScriptedExecutor({}))
    assert hurried.num_steps == 5
    assert paced(10.0, 0.01).planned_steps == 8
    assert paced(10.49, 0.1).planned_steps == 3  # one for each slot


def test_the_floor_is_run_even_past_the_deadline() -> None:
    late = paced(99.0, 0.1, floor_steps=4)
    assert (late.planned_steps, late.committing) == (4, False)
    run(late, ScriptedExecutor({}), 3)
    late.keep_pace(99.0, 0.1)
    run(late, ScriptedExecutor({}))
    assert late.num_steps == 4


def test_tuning_spreads_the_steps_over_what_is_open() -> None:
    active = response()
    run(active, ScriptedExecutor({}), 3)
    active.change(Tuning(steps_left=10))
    assert active.planned_steps == 13
    active.change(Tuning(steps_left=2))
    run(active, ScriptedExecutor({}))
    assert active.num_steps == 5


def test_a_tuned_temperature_holds_from_then_on() -> None:
    recipe = Recipe("draw", (replace(PICTURE, length=9, steps=1, temperature=0.0, guidance_scale=0.0),))

    def tokens(temperature: float | None) -> list[int]:
        active = response(recipe)
        active.change(Tuning(temperature=temperature))
        active.advance([torch.zeros(9, V.image[1] - V.image[0])], V)
        return active.canvas.tokens_of(active.canvas.slots[0]).tolist()

    assert len(set(tokens(None))) == 1
    assert len(set(tokens(2.0))) > 1


@pytest.mark.parametrize("tuning", [Tuning(steps_left=0), Tuning(temperature=-0.1), Tuning(temperature=float("nan"))])
def test_impossible_tuning_is_refused(tuning: Tuning) -> None:
    with pytest.raises(EditError, match="came"):
        response().change(tuning)


def test_a_masked_part_is_filled_again_and_a_pinned_one_stays() -> None:
    active = response()
    run(active, ScriptedExecutor({"transcript": [5, 6, 7, 8, 9, 10]}), 4)
    active.change(
        Editing(
            (
                Edit("pin", "transcript", (0,)),
                Edit("mask", "transcript", (1, 2)),
            )
        )
    )
    assert [slot.name for slot in active.open_slots()] == ["transcript"]
    assert active.planned_steps == 4 + 1 + 2 + 2
    run(active, ScriptedExecutor({"transcript": [1, 2, 3, 4, 5, 6]}))
    assert active.canvas.tokens_of(active.canvas.slots[0]).tolist() == [5, 2, 3, 8, 9, 10]
    assert active.complete


def test_a_fork_goes_its_own_way() -> None:
    active = response()
    run(active, ScriptedExecutor({"transcript": [5]}), 2)
    before = active.canvas
    other = active.fork(replace(active.request, request_id="other", seed=3), lambda output: None, 12.0)
    run(other, ScriptedExecutor({"transcript": [6]}))
    assert active.canvas is before
    assert (active.num_steps, other.num_steps) == (2, 8)
    assert (active.usage().steps, other.usage().steps) == (2, 6)  # no step is charged twice
    assert set(other.canvas.tokens_of(other.canvas.slots[0]).tolist()) == {5, 6}


def test_a_certain_answer_takes_fewer_steps_than_the_recipe_allows() -> None:
    hurried = replace(PICTURE, length=9, steps=9, temperature=0.0, confidence_noise=0.0, commit="threshold")
    active = response(Recipe("draw", (replace(hurried, commit_bound=0.9),)))
    run(active, ScriptedExecutor({}))
    assert active.unmasked_per_step == [9]


def test_what_is_read_while_it_forms_is_filled_from_the_left() -> None:
    active = response(Recipe("tell", (replace(STEADY, length=6, steps=6, commit="stable_prefix", commit_bound=0.9),)))
    executor = ScriptedExecutor({"text": [5, 6, 5, 6, 5, 6]})
    run(active, executor, 1)
    slot = active.canvas.slot("text")
    assert active.canvas.tokens_of(slot).tolist() == [5, *[active.canvas.mask_id] * 5]  # nothing was seen twice yet
    run(active, executor)
    assert active.unmasked_per_step == [1, 5]


class Doubting(ScriptedExecutor):
    """Hardly knows anything of the first position until it is asked for it again."""

    def forward(self, items: Sequence[ForwardItem]) -> list[torch.Tensor]:
        scores = super().forward(items)
        if self.num_passes == 1:
            scores[0][0] *= 0.01
        return scores


def test_what_was_filled_in_doubt_is_opened_again_once() -> None:
    recipe = Recipe("tell", (replace(STEADY, length=4, steps=4, commit="stable_prefix", revise_below=0.5),))
    active = response(recipe)
    executor = Doubting({"text": [5, 6, 5, 6]})
    run(active, executor, 1)
    assert active.unmasked_per_step == [0]
    assert active.canvas.num_masked(active.canvas.slot("text")) == 4
    assert active.revised.nonzero()[:, 0].tolist() == [active.canvas.slot("text").start]
    run(active, executor)
    assert active.canvas.tokens_of(active.canvas.slot("text")).tolist() == [5, 6, 5, 6]


def test_what_a_person_put_there_is_in_no_doubt() -> None:
    recipe = Recipe("tell", (replace(STEADY, length=4, steps=4, revise_below=1.0),))
    active = response(recipe)
    active.change(Editing((Edit("set", "text", (0,), (7,)),)))
    run(active, ScriptedExecutor({"text": [5, 6, 5, 6]}), 2)
    assert active.canvas.tokens_of(active.canvas.slot("text"))[0] == 7


def test_a_fork_has_doubts_of_its_own() -> None:
    active = response(Recipe("tell", (replace(STEADY, length=4, steps=4, revise_below=0.5),)))
    run(active, Doubting({"text": [5, 6, 5, 6]}), 1)
    before = active.revised.clone()
    child = active.fork(replace(active.request, request_id="other"), lambda output: None, 12.0)
    run(child, Doubting({"text": [5, 6, 5, 6]}))
    assert torch.equal(active.revised, before)


class Remembering(ScriptedExecutor):
    """Notes what each pass was allowed to leave out."""

    def __init__(self) -> None:
        super().__init__({})
        self.reuses: list[list[Reuse | None]] = []

    def forward(self, items: Sequence[ForwardItem]) -> list[torch.Tensor]:
        self.reuses.append([item.reuse for item in items])
        return super().forward(items)


class TestReuse:
    DRAWING = replace(PICTURE, length=9, steps=6, confidence_noise=0.0, refresh_every=3)

    def active(self) -> ActiveResponse:
        return response(Recipe("draw", (self.DRAWING, replace(STEADY, length=4, steps=2))))

    def test_the_prompted_and_the_unprompted_canvas_remember_apart(self) -> None:
        active, executor = self.active(), Remembering()
        run(active, executor, 6)
        assert all(one is not None and two is not None and one is not two for one, two in executor.reuses)
        assert len({id(each) for pair in executor.reuses for each in pair}) == 2

    def test_nothing_is_kept_when_the_slot_is_full(self) -> None:
        active, executor = self.active(), Remembering()
        run(active, executor)
        assert executor.reuses[-1] == [None]
        assert [name for name, _ in active.reuses] == ["text"]

    def test_an_edit_forgets(self) -> None:
        active, executor = self.active(), Remembering()
        run(active, executor, 2)
        active.change(Editing((Edit("set", "image", (8,), (V.image[0],)),)))
        run(active, executor, 1)
        assert executor.reuses[2][0] is not executor.reuses[1][0]
        assert executor.reuses[2][0] is not None
        assert executor.reuses[2][0].refresh

    def test_a_fork_remembers_for_itself(self) -> None:
        active, executor = self.active(), Remembering()
        run(active, executor, 2)
        child = active.fork(replace(active.request, request_id="other"), lambda output: None, 12.0)
        run(child, executor, 1)
        run(active, executor, 1)
        assert executor.reuses[2][0] is not executor.reuses[1][0]
        assert executor.reuses[3][0] is executor.reuses[1][0]

    def test_the_last_step_of_one_who_has_no_time_is_exact(self) -> None:
        active, executor = self.active(), Remembering()
        run(active, executor, 2)
        active.committing = True
        run(active, executor)
        assert set(executor.reuses[-1]) == {None}
