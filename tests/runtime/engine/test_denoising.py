import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from runtime.codecs.vocabulary import END_OF_TEXT
from runtime.engine.changes import Editing, Tuning
from runtime.engine.denoising import DenoisingEngine, EngineLimits
from runtime.engine.edits import Edit
from runtime.engine.engine import Reply
from runtime.engine.output import EngineOutput, Finished, SlotState, Started, StepOutput
from runtime.engine.preview import Previewer
from runtime.engine.recipe import EMBEDDED_RECIPES, REPLY, Recipe
from runtime.engine.request import GenerationRequest, SpeechPart, TextPart, Turn
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor
from runtime.executors.scripted import ScriptedExecutor
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
STEADY = replace(REPLY, commit="schedule")  # scripts are sure of everything
V = MODEL.vocabulary
END = V[END_OF_TEXT]
ANSWERS = {"text": [*MODEL.text.encode("red apples"), END], "image": [MODEL.vocabulary.image[0] + 7]}
LONG = Recipe("long", (replace(STEADY, length=16, steps=16),))


@dataclass
class Receiver:
    outputs: list[EngineOutput] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, output: EngineOutput) -> None:
        self.outputs.append(output)
        if isinstance(output, Finished):
            self.ended.set()

    @property
    def finished(self) -> Finished:
        assert self.ended.wait(10), "no end came"
        (finished,) = (output for output in self.outputs if isinstance(output, Finished))
        assert self.outputs[-1] is finished
        return finished

    @property
    def partials(self) -> list[StepOutput]:
        return [output for output in self.outputs if isinstance(output, StepOutput)]


def ask(request_id: str = "r", recipe: str | Recipe = "text_to_image", **options: object) -> GenerationRequest:
    chosen = EMBEDDED_RECIPES[recipe] if isinstance(recipe, str) else recipe
    turns = (Turn("user", (TextPart("draw two red apples"),)),)
    return GenerationRequest(request_id, turns, chosen, **options)  # type: ignore[arg-type]


def cranked(executor: ScriptedExecutor | None = None, **limits: int) -> DenoisingEngine:
    """An engine without a thread."""
    return DenoisingEngine(MODEL, executor or ScriptedExecutor(ANSWERS), EngineLimits(**limits), start=False)


def turn(engine: DenoisingEngine, times: int = 1) -> None:
    for _ in range(times):
        engine.run_commands()
        engine.admit_next()
        engine.step()


@pytest.fixture
def threaded() -> Iterator[Callable[[ScriptedExecutor], DenoisingEngine]]:
    engines: list[DenoisingEngine] = []

    def start(executor: ScriptedExecutor) -> DenoisingEngine:
        engines.append(DenoisingEngine(MODEL, executor))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def test_a_real_model_answers_in_partials_and_one_end() -> None:
    engine = DenoisingEngine(MODEL, InProcessExecutor(MODEL.backbone, "float32"))
    receiver = Receiver()
    speech = SpeechPart(np.random.default_rng(0).integers(-999, 999, 8000).astype(np.int16), 16_000)
    engine.submit(replace(ask(recipe="speech_to_image"), turns=(Turn("user", (speech,)),)), receiver)
    finished = receiver.finished
    engine.close()
    assert finished.status == "completed"
    assert [type(output) for output in receiver.outputs[:2]] == [Started, StepOutput]
    assert [partial.step for partial in receiver.partials] == list(range(1, finished.steps))
    assert all(slot.complete for slot in finished.slots)
    picture = finished.slots[1].image
    assert picture is not None
    assert picture.shape == (80, 80, 3)
    assert sum(finished.unmasked_per_step) == 100 + 2 * REPLY.length
    ratios = [partial.unmasked_ratio for partial in receiver.partials]
    assert ratios == sorted(ratios)


def test_the_same_seed_gives_the_same_answer_whoever_shares_the_batch() -> None:
    def tokens(seed: int, *, company: bool) -> list[int]:
        engine = DenoisingEngine(MODEL, InProcessExecutor(MODEL.backbone, "float32"), start=False)
        receiver = Receiver()
        if company:
            engine.submit(ask("other", "text_to_image", seed=9), Receiver())
        engine.submit(ask(seed=seed), receiver)
        turn(engine, 25)
        return list(receiver.finished.slots[0].tokens)

    alone = tokens(1, company=False)
    assert tokens(1, company=True) == alone
    assert tokens(2, company=False) != alone


def test_started_tells_every_slot_before_the_first_step() -> None:
    engine, receiver = cranked(), Receiver()
    engine.submit(ask(seed=5), receiver)
    engine.run_commands()
    engine.admit_next()
    (started,) = receiver.outputs
    assert isinstance(started, Started)
    assert (started.seed, started.steps) == (5, EMBEDDED_RECIPES["text_to_image"].steps)
    assert [(slot.name, bool(slot.masked.all())) for slot in started.slots] == [("image", True), ("text", True)]
    assert started.slots[0].grid == (10, 10)


def test_the_end_holds_text_picture_and_counts() -> None:
    engine, receiver = cranked(), Receiver()
    engine.submit(ask(), receiver)
    turn(engine, 20)
    finished = receiver.finished
    assert finished.slots[1].text == "red apples"
    assert finished.slots[0].image is not None
    assert finished.usage.output_image == 100
    assert finished.usage.output_text == len(ANSWERS["text"]) - 1
    assert finished.steps == finished.usage.steps == len(finished.unmasked_per_step)


@pytest.mark.parametrize(("every", "steps"), [(0, []), (1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6])])
def test_partials_come_as_often_as_asked(every: int, steps: list[int]) -> None:
    engine, receiver = cranked(ScriptedExecutor({})), Receiver()
    engine.submit(ask(recipe=Recipe("eight", (replace(STEADY, length=8, steps=8),)), partial_every=every), receiver)
    turn(engine, 8)
    assert [partial.step for partial in receiver.partials] == steps
    assert receiver.finished.steps == 8
    assert all(partial.steps == 8 and partial.eta_ms >= 0 for partial in receiver.partials)


def test_no_step_paints_anything_and_a_preview_shows_its_own_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    painted = list[Any]()
    paint = Previewer.paint

    def note(self: Previewer, canvas: Any, *arguments: Any) -> Any:
        painted.append(canvas)
        return paint(self, canvas, *arguments)

    monkeypatch.setattr(Previewer, "paint", note)
    engine, receiver = cranked(), Receiver()
    engine.submit(ask(), receiver)
    turn(engine, 5)
    assert painted == []
    turn(engine, 20)
    assert painted == []
    assert receiver.finished.slots[0].image is receiver.finished.slots[0].image is not None
    assert len(painted) == 1  # the finished picture, by who asked for it
    for partial in receiver.partials[:3]:
        preview = partial.slots[0].paint
        assert preview is not None
        assert preview().shape == (80, 80, 3)
        assert int(painted[-1].masked[painted[-1].slots[0].positions].sum()) == int(partial.slots[0].masked.sum())


def test_several_responses_share_a_step() -> None:
    executor = ScriptedExecutor(ANSWERS)
    engine, receivers = cranked(executor), [Receiver() for _ in range(3)]
    for i, receiver in enumerate(receivers):
        engine.submit(ask(f"r{i}", LONG), receiver)
    turn(engine, 3)
    assert executor.num_passes == 3
    turn(engine, 20)
    assert [receiver.finished.status for receiver in receivers] == ["completed"] * 3
    assert executor.num_passes < sum(receiver.finished.steps for receiver in receivers)


def test_a_small_batch_is_shared_in_turns() -> None:
    engine, receivers = cranked(ScriptedExecutor({}), batch_positions=1), [Receiver() for _ in range(2)]
    for i, receiver in enumerate(receivers):
        engine.submit(ask(f"r{i}", LONG), receiver)
    turn(engine, 11)
    assert [len(receiver.partials) for receiver in receivers] == [6, 5]


def test_cancel_stops_at_the_next_boundary() -> None:
    engine, receiver = cranked(), Receiver()
    engine.submit(ask(), receiver)
    turn(engine, 2)
    engine.cancel("r")
    engine.cancel("r")
    engine.cancel("never heard of")
    turn(engine, 3)
    assert receiver.finished.status == "cancelled"
    assert receiver.finished.steps == 2
    assert receiver.finished.slots[0].masked.any()


def test_what_waits_can_be_cancelled_before_it_is_begun() -> None:
    engine, receiver = cranked(), Receiver()
    engine.submit(ask(), receiver)
    engine.cancel("r")
    turn(engine)
    assert [type(output) for output in receiver.outputs] == [Finished]
    assert receiver.finished.status == "cancelled"


@pytest.mark.parametrize("steps_before", [0, 2, 7])
def test_finalize_commits_the_rest_in_one_step(steps_before: int) -> None:
    engine, receiver = cranked(), Receiver()
    engine.submit(ask(), receiver)
    turn(engine, steps_before)
    engine.finalize("r")
    turn(engine)
    finished = receiver.finished
    assert finished.status == "incomplete"
    assert finished.steps == steps_before + 1
    assert all(slot.complete for slot in finished.slots)
    assert finished.slots[1].text == "red apples"
    assert finished.slots[0].image is not None


def test_past_its_deadline_a_response_is_committed() -> None:
    engine = cranked(ScriptedExecutor(ANSWERS, before_forward=lambda _: time.sleep(0.05)))
    hurried, patient = Receiver(), Receiver()
    engine.submit(ask("hurried", LONG, deadline_ms=40), hurried)
    engine.submit(ask("patient", LONG), patient)
    turn(engine, 20)
    assert hurried.finished.status == "incomplete"
    assert hurried.finished.steps == 2
    assert patient.finished.status == "completed"


def test_one_bad_response_does_not_take_the_others_with_it() -> None:
    def refuse_long_ones(items: Sequence[ForwardItem]) -> None:
        if any(slot.length == 9 for item in items for slot in item.canvas.slots):
            raise RuntimeError("out of memory")

    engine = cranked(ScriptedExecutor(ANSWERS, before_forward=refuse_long_ones))
    good, bad = Receiver(), Receiver()
    engine.submit(ask("good", LONG), good)
    engine.submit(ask("bad", Recipe("bad", (replace(STEADY, length=9),))), bad)
    turn(engine, 20)
    assert bad.finished.status == "failed"
    assert bad.finished.error is not None
    assert "out of memory" in bad.finished.error
    assert good.finished.status == "completed"
    later = Receiver()
    engine.submit(ask("later", LONG), later)
    turn(engine, 20)
    assert later.finished.status == "completed"


def test_a_request_that_cannot_be_laid_out_fails_in_words() -> None:
    engine, receiver = cranked(canvas_positions=100), Receiver()
    engine.submit(ask(), receiver)
    turn(engine)
    assert receiver.finished.status == "failed"
    assert "at most 100 are allowed" in (receiver.finished.error or "")
    assert receiver.finished.refused


def test_an_id_in_use_is_refused_and_free_again_after_the_end() -> None:
    engine, first, second, third = cranked(), Receiver(), Receiver(), Receiver()
    engine.submit(ask(recipe=LONG), first)
    engine.submit(ask(recipe=LONG), second)
    turn(engine, 20)
    assert "'r' is running already" in (second.finished.error or "")
    assert first.finished.status == "completed"
    engine.submit(ask(recipe=LONG), third)
    turn(engine, 20)
    assert third.finished.status == "completed"


def test_a_receiver_that_breaks_is_dropped_and_the_rest_live_on() -> None:
    def broken(output: EngineOutput) -> None:
        raise ConnectionError("gone")

    executor = ScriptedExecutor(ANSWERS)
    engine, receiver = cranked(executor), Receiver()
    engine.submit(ask("broken", LONG), broken)
    turn(engine, 3)
    assert executor.num_passes == 0
    engine.submit(ask("whole", LONG), receiver)
    turn(engine, 20)
    assert receiver.finished.status == "completed"


@pytest.mark.parametrize("shown", [0, 2])
def test_what_cannot_be_shown_fails_and_the_thread_lives_on(monkeypatch: pytest.MonkeyPatch, shown: int) -> None:
    """Broken at Started (0 snapshots made), or when it is cancelled (after the two of Started)."""
    made = 0
    state = Previewer.state

    def breaks(self: Previewer, *arguments: Any) -> SlotState:
        nonlocal made
        made += 1
        if made > shown:
            raise ValueError("it cannot be shown")
        return state(self, *arguments)

    engine, broken, fine = cranked(), Receiver(), Receiver()
    with monkeypatch.context() as patched:
        patched.setattr(Previewer, "state", breaks)
        engine.submit(ask("broken", partial_every=0), broken)
        turn(engine)
        engine.cancel("broken")
        turn(engine)
    engine.submit(ask("fine"), fine)
    turn(engine, 20)
    assert broken.finished.status == "failed"
    assert "it cannot be shown" in (broken.finished.error or "")
    assert fine.finished.status == "completed"


def test_a_deadline_missed_by_the_last_step_alone_cuts_nothing() -> None:
    engine, receiver = cranked(), Receiver()
    engine.submit(ask(recipe=Recipe("short", (replace(STEADY, steps=1),)), deadline_ms=1), receiver)
    time.sleep(0.002)
    turn(engine, 2)
    assert receiver.finished.status == "completed"


def test_the_thread_takes_commands_while_it_works(
    threaded: Callable[[ScriptedExecutor], DenoisingEngine],
) -> None:
    entered, proceed = threading.Event(), threading.Event()

    def wait(_: Sequence[ForwardItem]) -> None:
        entered.set()
        assert proceed.wait(10)

    engine, receiver = threaded(ScriptedExecutor(ANSWERS, before_forward=wait)), Receiver()
    engine.submit(ask(recipe=LONG), receiver)
    assert entered.wait(10)
    engine.cancel("r")
    assert not receiver.ended.is_set()
    proceed.set()
    assert receiver.finished.status == "cancelled"
    assert receiver.finished.steps == 1


def test_close_ends_everything_and_nothing_starts_after_it() -> None:
    begun = threading.Event()
    of_others = set(threading.enumerate())

    def slowly(_: Sequence[ForwardItem]) -> None:
        begun.set()
        time.sleep(0.01)

    engine = DenoisingEngine(MODEL, ScriptedExecutor({}, before_forward=slowly))
    running, late = Receiver(), Receiver()
    engine.submit(ask(recipe=Recipe("endless", (replace(STEADY, length=400, steps=400),))), running)
    assert begun.wait(10)
    engine.close()
    engine.submit(ask("late"), late)
    assert running.finished.status == "cancelled"
    assert late.finished.status == "cancelled"
    engine.close()
    left = set(threading.enumerate()) - of_others
    assert not any(thread.name == "denoising-engine" for thread in left)


def test_close_may_be_called_from_a_receiver() -> None:
    engine = DenoisingEngine(MODEL, ScriptedExecutor(ANSWERS))
    receiver = Receiver()

    def close_at_once(output: EngineOutput) -> None:
        receiver(output)
        engine.close()

    engine.submit(ask(), close_at_once)
    assert receiver.finished.status == "cancelled"
    engine.close()


def test_an_edit_is_made_at_the_step_boundary_and_told() -> None:
    engine, receiver, replies = cranked(ScriptedExecutor({})), Receiver(), list[Reply]()
    engine.submit(ask(recipe=LONG), receiver)
    turn(engine, 2)
    word = MODEL.text.encode("red")[0]
    engine.change("r", Editing((Edit("set", "text", (12,), (word,)),)), replies.append)
    engine.change("r", Tuning(steps_left=3), replies.append)
    assert replies == []
    turn(engine, 8)
    assert replies == [Reply("r", 2), Reply("r", 2)]
    assert receiver.finished.steps == 5
    assert receiver.finished.planned_steps == 16


def test_edits_that_cannot_be_made_change_nothing_and_say_why() -> None:
    engine, receiver, replies = cranked(), Receiver(), list[Reply]()
    engine.change("r", Editing((Edit("mask", "text", (0,)),)), replies.append)
    engine.submit(ask(recipe=LONG), receiver)
    engine.change("r", Editing((Edit("mask", "text", (0,)),)), replies.append)
    turn(engine)
    engine.change(
        "r",
        Editing(
            (
                Edit("mask", "text", (0,)),
                Edit("mask", "text", (99,)),
            )
        ),
        replies.append,
    )
    turn(engine, 20)
    engine.change("r", Tuning(steps_left=1), replies.append)
    engine.run_commands()
    errors = [reply.error or "" for reply in replies]
    wanted = ("no request 'r' is running", "has not begun yet", "position 99 came", "it is finished")
    assert all(part in error for part, error in zip(wanted, errors, strict=True))
    assert receiver.finished.slots[0].text == "red apples"


def test_a_receiver_of_replies_that_fails_does_not_stop_the_engine() -> None:
    def fail(reply: Reply) -> None:
        raise RuntimeError("gone")

    engine, receiver = cranked(ScriptedExecutor({})), Receiver()
    engine.submit(ask(recipe=LONG), receiver)
    turn(engine)
    engine.change("r", Tuning(steps_left=2), fail)
    turn(engine, 2)
    assert receiver.finished.steps == 3


def test_a_fork_is_a_response_of_its_own() -> None:
    engine, first, second = cranked(ScriptedExecutor({})), Receiver(), Receiver()
    engine.submit(ask(recipe=LONG), first)
    turn(engine, 2)
    engine.fork("r", "twin", 7, second)
    engine.run_commands()
    engine.cancel("r")
    turn(engine, 20)
    assert first.finished.status == "cancelled"
    started = second.outputs[0]
    assert isinstance(started, Started)
    assert (started.request_id, started.seed) == ("twin", 7)
    assert int((~started.slots[0].masked).sum()) == 2
    assert (second.finished.status, second.finished.steps) == ("completed", 16)


def test_forking_what_is_not_there_or_into_a_taken_id_fails_alone() -> None:
    engine, first, second, third = cranked(), Receiver(), Receiver(), Receiver()
    engine.fork("nobody", "twin", 0, second)
    engine.submit(ask(recipe=LONG), first)
    turn(engine)
    engine.fork("r", "r", 0, third)
    turn(engine, 20)
    assert "no request 'nobody'" in (second.finished.error or "")
    assert "running already" in (third.finished.error or "")
    assert first.finished.status == "completed"


def test_given_parts_stand_and_the_rest_is_filled_between_them() -> None:
    engine, receiver = cranked(), Receiver()
    given = (Edit("set", "text", (1, 2), (V.text[0] + 40, END)),)
    engine.submit(ask(recipe=LONG, given=given), receiver)
    turn(engine, 20)
    assert receiver.finished.slots[0].tokens.tolist() == [ANSWERS["text"][0], V.text[0] + 40, *[END] * 14]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"deadline_ms": -5}, "a deadline of -5 ms came"),
        ({"deadline_ms": 0}, "a deadline of 0 ms came"),
        ({"floor_steps": 0}, "a floor of 0 steps came"),
        ({"given": (Edit("set", "text", (99,), (1,)),)}, "position 99 came"),
    ],
)
def test_impossible_wishes_are_refused_by_name(options: dict[str, Any], said: str) -> None:
    engine, receiver = cranked(), Receiver()
    engine.submit(ask(**options), receiver)
    turn(engine)
    assert receiver.finished.status == "failed"
    assert said in (receiver.finished.error or "")


def test_too_many_waiting_are_refused_at_once() -> None:
    engine, receivers = cranked(waiting_requests=2), [Receiver() for _ in range(4)]
    for number, receiver in enumerate(receivers):
        engine.submit(ask(str(number), LONG), receiver)
    engine.run_commands()
    assert [len(receiver.outputs) for receiver in receivers] == [0, 0, 1, 1]
    assert "overloaded: 2 requests are waiting" in (receivers[3].finished.error or "")
    turn(engine, 40)
    assert [receiver.finished.status for receiver in receivers[:2]] == ["completed", "completed"]


def test_a_step_that_takes_longer_buys_fewer_steps() -> None:
    now_s = 0.0

    def slow(items: Sequence[ForwardItem]) -> None:
        nonlocal now_s
        now_s += 0.1

    executor = ScriptedExecutor({}, before_forward=slow)
    engine = DenoisingEngine(MODEL, executor, clock=lambda: now_s, start=False)
    hurried, patient = Receiver(), Receiver()
    engine.submit(ask("hurried", LONG, deadline_ms=750), hurried)
    engine.submit(ask("patient", LONG), patient)
    turn(engine, 40)
    assert hurried.finished.status == "completed"
    assert hurried.finished.steps == 7
    assert patient.finished.steps < 17


def test_tenants_share_the_steps_evenly() -> None:
    engine, served = cranked(ScriptedExecutor({}), batch_positions=1), list[str]()

    def note(tenant: str) -> Callable[[EngineOutput], None]:
        return lambda output: served.append(tenant) if isinstance(output, StepOutput) else None

    for number in range(3):
        engine.submit(ask(f"many{number}", LONG, tenant="many"), note("many"))
    engine.submit(ask("one", LONG, tenant="one"), note("one"))
    turn(engine, 4)
    served.clear()
    turn(engine, 12)
    assert served.count("one") == served.count("many") == 6


def test_who_would_be_late_because_of_the_others_is_told_at_once() -> None:
    now_s = 0.0

    def take_time(items: Sequence[ForwardItem]) -> None:
        nonlocal now_s
        now_s += 0.1  # seconds a step

    executor = ScriptedExecutor({}, take_time)
    limits = EngineLimits(batch_positions=1)
    engine = DenoisingEngine(MODEL, executor, limits, clock=lambda: now_s, start=False)
    for i in range(5):
        engine.submit(ask(f"r{i}", LONG), Receiver())
    turn(engine, 6)
    late, patient, hopeless = Receiver(), Receiver(), Receiver()
    engine.submit(ask("late", LONG, deadline_ms=300), late)
    engine.submit(ask("patient", LONG, deadline_ms=3000), patient)
    engine.submit(ask("hopeless", LONG, deadline_ms=20), hopeless)  # the best of one step, whoever is there
    turn(engine, 40)
    assert late.finished.status == "failed"
    assert late.finished.steps == 0
    assert "overloaded: 5 answers are being made" in str(late.finished.error)
    assert patient.finished.status in ("completed", "incomplete")
    assert hopeless.finished.status in ("completed", "incomplete")
