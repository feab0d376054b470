"""Whether a turn calls a tool, and which: what was said is heard first, then the tools are weighed by the model."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from omnisdk.protocol.settings import FunctionTool
from omnisdk.protocol.skeleton import Skeleton, skeleton_of
from runtime.engine.output import Finished, SlotState
from runtime.engine.recipe import Recipe
from runtime.engine.request import SpeechPart, TextPart, Turn
from runtime.server.model_card import ModelCard
from runtime.server.tools.offer import TOOL, Offer, choice_recipe, related, with_tools

TRANSCRIBING = "speech_to_text"
Ask = Callable[[Recipe, tuple[Turn, ...]], Awaitable[Finished]]


@dataclass(frozen=True)
class Call:
    """turns: what the model reads to fill the skeleton."""

    tool: FunctionTool
    skeleton: Skeleton
    turns: tuple[Turn, ...]


class Undecided(Exception):  # noqa: N818 - it is an end, not always an error
    """A request on the way ended otherwise than complete, and so does the response."""

    def __init__(self, finished: Finished) -> None:
        super().__init__(finished.status)
        self.finished = finished


class Deciding:
    """ask: has the model fill a recipe. hear: told what the user said, when he spoke."""

    def __init__(self, model: ModelCard, ask: Ask, hear: Callable[[SlotState], None]) -> None:
        self._model, self._ask, self._hear = model, ask, hear

    async def decide(self, offer: Offer, turns: Sequence[Turn]) -> Call | None:
        """The call to make; None if the turn is to be answered. Raises Undecided, ProtocolError."""
        turns = await self._written(turns if self._model.max_turns is None else turns[-self._model.max_turns :])
        words = " ".join(part.text for part in turns[-1].parts if isinstance(part, TextPart))
        tools = list(offer.tools) if offer.forced else related(offer.tools, words)
        if not tools:
            return None
        told = with_tools(turns, tools)
        tool = tools[0] if len(tools) == 1 else await self._chosen(tools, told)
        return Call(tool, skeleton_of(tool.parameters, words, f"tool {tool.name}"), told)

    async def _written(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        """The turns, what is spoken in the last one as text, if the model can hear."""
        last, recipe = turns[-1], self._model.recipes.get(TRANSCRIBING)
        spoken = tuple(part for part in last.parts if isinstance(part, SpeechPart))
        if not spoken or recipe is None:
            return turns
        finished = await self._whole(recipe, (replace(last, parts=spoken),))
        self._hear(finished.slots[0])
        words = (finished.slots[0].text or "").strip()
        written = tuple(part for part in last.parts if not isinstance(part, SpeechPart))
        return [*turns[:-1], replace(last, parts=(*written, TextPart(words)))]

    async def _chosen(self, tools: Sequence[FunctionTool], turns: tuple[Turn, ...]) -> FunctionTool:
        finished = await self._whole(choice_recipe(tools), turns)
        name = next(slot.text for slot in finished.slots if slot.name == TOOL)
        return next(tool for tool in tools if tool.name == name)

    async def _whole(self, recipe: Recipe, turns: tuple[Turn, ...]) -> Finished:
        finished = await self._ask(recipe, turns)
        if finished.status not in ("completed", "incomplete"):
            raise Undecided(finished)
        return finished
