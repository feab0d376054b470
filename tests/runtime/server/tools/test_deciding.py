import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from omnisdk.protocol.settings import FunctionTool
from runtime.engine.output import Finished, SlotState, Usage
from runtime.engine.recipe import Recipe
from runtime.engine.request import SpeechPart, TextPart, Turn
from runtime.server.tools.deciding import Deciding, Undecided
from runtime.server.tools.offer import Offer
from tests.support.live_server import MODEL

LIGHT, TIMER = FunctionTool(name="light"), FunctionTool(name="timer")
BOTH = Offer((LIGHT, TIMER), forced=True)
SPEECH = SpeechPart(np.zeros(2_400, np.int16), 24_000)


@dataclass
class Script:
    """What the model says to each recipe."""

    says: dict[str, str]
    status: str = "completed"
    asked: list[tuple[str, tuple[Turn, ...]]] = field(default_factory=list)
    heard: list[str | None] = field(default_factory=list)

    async def ask(self, recipe: Recipe, turns: tuple[Turn, ...]) -> Finished:
        self.asked.append((recipe.name, turns))
        tokens = np.zeros(1, np.int64)
        slots = [
            SlotState(slot.name, "text", tokens, np.ones(1, np.float32), self.says[slot.name]) for slot in recipe.slots
        ]
        return Finished("r", self.status, tuple(slots), Usage(), 1)  # type: ignore[arg-type]

    def deciding(self) -> Deciding:
        return Deciding(MODEL, self.ask, lambda slot: self.heard.append(slot.text))


def user(*parts: TextPart | SpeechPart) -> list[Turn]:
    return [Turn("user", parts)]


def test_the_only_tool_is_not_asked_for() -> None:
    script = Script({})
    call = asyncio.run(script.deciding().decide(Offer((LIGHT,), forced=True), user(TextPart("x"))))
    assert call is not None
    assert (call.tool, script.asked) == (LIGHT, [])


def test_of_several_the_model_says_which() -> None:
    call = asyncio.run(Script({"tool": "timer"}).deciding().decide(BOTH, user(TextPart("x"))))
    assert call is not None
    assert call.tool is TIMER


def test_speech_is_written_down_before_it_is_judged() -> None:
    script = Script({"transcript": " the light "})
    call = asyncio.run(script.deciding().decide(Offer((LIGHT, TIMER), forced=False), user(SPEECH)))
    assert call is not None
    assert (call.tool, script.heard) == (LIGHT, [" the light "])
    assert call.turns[-1].parts == (TextPart("the light"),)


def test_nothing_in_common_is_no_call() -> None:
    assert asyncio.run(Script({}).deciding().decide(Offer((LIGHT,), forced=False), user(TextPart("x")))) is None


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_what_ends_on_the_way_ends_the_response(status: str) -> None:
    with pytest.raises(Undecided) as caught:
        asyncio.run(Script({"tool": "timer"}, status).deciding().decide(BOTH, user(TextPart("x"))))
    assert caught.value.finished.status == status
