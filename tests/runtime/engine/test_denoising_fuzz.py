"""Whatever is asked of the engine, in any order: it never raises, every request ends once, no other one is touched."""

import gc
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.diffusion.canvas import Canvas
from runtime.engine.active_response import ActiveResponse
from runtime.engine.changes import Editing, Tuning
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.edits import Edit
from runtime.engine.engine import Reply
from runtime.engine.output import EngineOutput, Finished, Started, StepOutput
from runtime.engine.recipe import PICTURE, REPLY, Recipe
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
STEADY = replace(REPLY, commit="schedule")  # scripts are sure of everything
V = MODEL.vocabulary
RECIPES = {
    "text": Recipe("text", (replace(STEADY, length=6, steps=3),)),
    "sampled": Recipe("sampled", (replace(STEADY, length=6, steps=4, temperature=1.0, confidence_noise=1.0),)),
    "picture": Recipe("picture", (replace(PICTURE, steps=3), replace(STEADY, length=4, steps=2))),
    "hurried": Recipe("hurried", (replace(STEADY, length=6, steps=6, commit="threshold", commit_bound=0.01),)),
    "doubtful": Recipe("doubtful", (replace(STEADY, length=6, steps=6, revise_below=0.5),)),
    "remembering": Recipe("remembering", (replace(STEADY, length=6, steps=6, refresh_every=3),)),
    "impossible": Recipe("impossible", (replace(STEADY, length=0),)),
}


class Faulty(InProcessExecutor):
    """Runs out of memory whenever a canvas holds the cursed token."""

    CURSED = MODEL.text.encode("tulip")[0]

    def __init__(self) -> None:
        super().__init__(MODEL.backbone, "float32")

    def forward(self, items: Sequence[ForwardItem]) -> list[torch.Tensor]:
        if any(bool((item.canvas.token_ids == self.CURSED).any()) for item in items):
            raise MemoryError("out of memory")
        return super().forward(items)


class Receiver:
    def __init__(self, broken_at: int = -1) -> None:
        self.outputs: list[EngineOutput] = []
        self._broken_at = broken_at

    def __call__(self, output: EngineOutput) -> None:
        self.outputs.append(output)
        if len(self.outputs) == self._broken_at:
            raise RuntimeError("nobody is listening")

    @property
    def finished(self) -> Finished | None:
        return next((one for one in self.outputs if isinstance(one, Finished)), None)


def ask(name: str, recipe: str, seed: int, text: str = "draw a cat", **more: object) -> GenerationRequest:
    turns = (Turn("user", (TextPart(text),)),)
    return GenerationRequest(name, turns, RECIPES[recipe], seed, **more)  # type: ignore[arg-type]


def alone(request: GenerationRequest) -> Finished:
    engine, receiver = DenoisingEngine(MODEL, Faulty(), start=False), Receiver()
    engine.submit(request, receiver)
    crank(engine)
    engine.close()
    assert receiver.finished is not None
    return receiver.finished


@torch.inference_mode()
def crank(engine: DenoisingEngine, turns: int = 60) -> None:
    for _ in range(turns):
        engine.run_commands()
        engine.admit_next()
        engine.step()


NAMES = st.sampled_from(["a", "b", "c", "d"])
PLACES = st.lists(st.integers(-2, 8), max_size=4).map(tuple)
TOKENS = st.lists(st.integers(-1, len(V) + 1), max_size=4).map(tuple)
ACTIONS, SLOTS = st.sampled_from(["pin", "mask", "set", "burn"]), st.sampled_from(["text", "image", "no"])
EDITS = st.lists(st.builds(Edit, ACTIONS, SLOTS, PLACES, TOKENS), max_size=2)
TUNINGS = st.builds(Tuning, st.none() | st.integers(-1, 9), st.none() | st.floats(-1, 2))


class Engines(RuleBasedStateMachine):
    """One engine turned by hand. `untouched` are requests nobody changed: they must end as if they had been alone."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = DenoisingEngine(MODEL, Faulty(), start=False)
        self.receivers: list[Receiver] = []
        self.running: dict[str, Receiver] = {}
        self.untouched: dict[str, GenerationRequest] = {}

    @rule(name=NAMES, recipe=st.sampled_from(list(RECIPES)), seed=st.integers(0, 3), cursed=st.booleans())
    def submit(self, name: str, recipe: str, seed: int, cursed: bool) -> None:
        request = ask(name, recipe, seed, "draw a tulip" if cursed else "draw a cat")
        receiver = Receiver()
        taken = name in self.running and self.running[name].finished is None
        self.receivers.append(receiver)
        self.engine.submit(request, receiver)
        if not taken:
            self.running[name], self.untouched[name] = receiver, request

    @rule(name=NAMES, late=st.integers(-5, 50))
    def submit_with_a_deadline(self, name: str, late: int) -> None:
        if name in self.running and self.running[name].finished is None:
            return
        receiver = Receiver()
        self.receivers.append(receiver)
        self.running[name] = receiver
        self.untouched.pop(name, None)
        self.engine.submit(ask(name, "text", 0, deadline_ms=late, floor_steps=late % 3), receiver)

    @rule(name=NAMES)
    def submit_to_one_who_goes_away(self, name: str) -> None:
        if name not in self.running or self.running[name].finished is not None:
            self.engine.submit(ask(name, "text", 0), Receiver(broken_at=2))
            self.untouched.pop(name, None)
            self.turn(12)

    @rule(name=NAMES)
    def cancel(self, name: str) -> None:
        self.untouched.pop(name, None)
        self.engine.cancel(name)

    @rule(name=NAMES)
    def finalize(self, name: str) -> None:
        self.untouched.pop(name, None)
        self.engine.finalize(name)

    @rule(name=NAMES, edits=EDITS)
    def edit(self, name: str, edits: list[Edit]) -> None:
        self.untouched.pop(name, None)
        self._told(lambda told: self.engine.change(name, Editing(tuple(edits)), told))

    @rule(name=NAMES, tuning=TUNINGS)
    def tune(self, name: str, tuning: Tuning) -> None:
        self.untouched.pop(name, None)
        self._told(lambda told: self.engine.change(name, tuning, told))

    @rule(name=NAMES, other=NAMES)
    def fork(self, name: str, other: str) -> None:
        if other in self.running and self.running[other].finished is None:
            return
        receiver = Receiver()
        self.receivers.append(receiver)
        self.running[other] = receiver
        self.untouched.pop(other, None)
        self.engine.fork(name, other, 5, receiver)

    @rule(turns=st.integers(1, 6))
    def turn(self, turns: int) -> None:
        crank(self.engine, turns)

    def _told(self, change: object) -> None:
        replies: list[Reply] = []
        change(replies.append)  # type: ignore[operator]
        self.engine.run_commands()
        assert len(replies) == 1

    @invariant()
    def an_end_is_the_end_and_comes_once(self) -> None:
        for receiver in self.receivers:
            kinds = [type(output) for output in receiver.outputs]
            assert kinds.count(Finished) <= 1
            assert Finished not in kinds[:-1]
            assert kinds.count(Started) <= 1
            assert StepOutput not in kinds[:1]

    def teardown(self) -> None:
        crank(self.engine)
        assert self.engine.num_active == 0
        assert all(receiver.finished is not None for receiver in self.receivers)
        for name, request in self.untouched.items():
            finished, expected = self.running[name].finished, alone(request)
            assert finished is not None
            assert (finished.status, finished.steps) == (expected.status, expected.steps)
            assert [slot.tokens.tolist() for slot in finished.slots] == [s.tokens.tolist() for s in expected.slots]
        self.engine.close()


TestEngines = Engines.TestCase
TestEngines.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("raised", [MemoryError("out of memory"), RuntimeError("CUDA error: out of memory")])
def test_only_the_guilty_fails_and_the_others_are_as_they_would_have_been(
    raised: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: Faulty, items: Sequence[ForwardItem]) -> list[torch.Tensor]:
        if any(bool((item.canvas.token_ids == self.CURSED).any()) for item in items):
            raise raised
        return InProcessExecutor.forward(self, items)

    monkeypatch.setattr(Faulty, "forward", forward)
    engine, receivers = DenoisingEngine(MODEL, Faulty(), start=False), [Receiver() for _ in range(3)]
    requests = [ask(str(i), "sampled", i, "draw a tulip" if i == 1 else "draw a cat") for i in range(3)]
    for request, receiver in zip(requests, receivers, strict=True):
        engine.submit(request, receiver)
    crank(engine)
    first, guilty, last = (receiver.finished for receiver in receivers)
    assert guilty is not None
    assert guilty.status == "failed"
    assert "out of memory" in str(guilty.error)
    for finished, request in ((first, requests[0]), (last, requests[2])):
        assert finished is not None
        assert finished.slots[0].tokens.tolist() == alone(request).slots[0].tokens.tolist()


def test_nothing_of_what_ended_is_kept() -> None:
    kept: list[weakref.ref[object]] = []
    engine = DenoisingEngine(MODEL, Faulty(), start=False)

    def note(output: EngineOutput) -> None:
        if isinstance(output, StepOutput):
            kept.extend(weakref.ref(response) for response in engine._active.values())

    for index in range(6):
        engine.submit(ask(str(index), list(RECIPES)[index % 6], index), note)
    crank(engine, 3)
    engine.cancel("0")
    crank(engine)
    gc.collect()
    assert kept
    assert [ref() for ref in kept if ref() is not None] == []


def test_memory_stays_flat_over_many_requests() -> None:
    engine = DenoisingEngine(MODEL, Faulty(), start=False)

    def canvases() -> int:
        gc.collect()
        return sum(type(thing) in (Canvas, ActiveResponse) for thing in gc.get_objects())

    def serve(first: int, count: int) -> None:
        for index in range(first, first + count):
            engine.submit(ask(str(index), "text", index), lambda output: None)
            crank(engine, 5)

    serve(0, 20)
    before = canvases()
    serve(20, 180)
    assert canvases() <= before
    assert not engine._ledger.served or len(engine._ledger.served) <= 1
