import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from runtime.engine.request import Part, TextPart
from runtime.evaluation.follow_ups import changes, follow_up_in_conversation
from runtime.training.phrasing import FOLLOW_UPS
from runtime.training.world import Scene


def test_what_is_wanted_was_never_trained_on_and_differs_from_what_is_seen() -> None:
    for scene, said, wanted in changes(30, random.Random(0)):
        assert wanted.held_out
        assert not scene.held_out
        assert wanted != scene
        assert said


@dataclass
class Card:
    """A report card whose model says of each picture what was asked for."""

    follow_ups: Any = FOLLOW_UPS
    num: int = 12
    asked: list[list[str]] = field(default_factory=list)
    judged: list[tuple[str, list[Scene]]] = field(default_factory=list)

    @property
    def model(self) -> Any:
        return SimpleNamespace(follow_ups=self.follow_ups)

    def ask(self, recipe: str, parts: Sequence[tuple[Part, ...]]) -> list[Any]:
        words = [part.text for (part,) in parts if isinstance(part, TextPart)]
        self.asked.append(words)
        texts = [SimpleNamespace(name="text", text=said.removeprefix("draw ")) for said in words]
        return [SimpleNamespace(recipe=recipe, slots=(text,)) for text in texts]

    def judge_answers(self, name: str, scenes: list[Scene], answers: list[Any]) -> None:
        assert {answer.recipe for answer in answers} == {"text_to_image"}
        self.judged.append((name, scenes))


def test_in_a_conversation_the_wish_is_put_in_full_behind_what_was_drawn() -> None:
    card: Any = Card()
    follow_up_in_conversation(card)
    expected = changes(12, random.Random(5))
    before, then = card.asked
    assert before == [f"draw {scene.caption}" for scene, _, _ in expected]
    assert then == [f"draw {wanted.caption}" for _, _, wanted in expected]
    assert card.judged == [("follow-up in a conversation", [wanted for _, _, wanted in expected])]


def test_a_model_without_rules_is_not_judged() -> None:
    card: Any = Card(follow_ups=None)
    follow_up_in_conversation(card)
    assert not card.asked
