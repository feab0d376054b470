"""Which task a conversation asks for: the recipe, and what of the conversation the model reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from msgspec import UNSET

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import Message
from omnisdk.protocol.settings import OmniSettings
from runtime.engine.recipe import Recipe
from runtime.engine.request import ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.server.model_card import ModelCard

READS_IMAGE = ("image_to_text", "speech_and_image_to_text")


def turns_of(items: Sequence[Message], parts: Mapping[str, tuple[Part, ...]]) -> list[Turn]:
    """The conversation as turns: items one after another of the same role are one turn. Ends with the user's last."""
    said = [(item.role, part) for item in items for part in parts.get(str(item.id), ())]
    runs = groupby(said, key=itemgetter(0))
    turns = [Turn(role, tuple(part for _, part in run)) for role, run in runs]
    while turns and turns[-1].role != "user":
        turns.pop()
    if not turns:
        raise ProtocolError(
            "there is nothing to answer: the conversation has no user item; create one or commit speech first",
            code=errors.NOTHING_TO_ANSWER,
        )
    return turns


def choose_task(card: ModelCard, turns: Sequence[Turn], settings: OmniSettings) -> tuple[Recipe, tuple[Turn, ...]]:
    """The recipe that answers the last turn, and the turns to answer. Raises ProtocolError if the model has none."""
    assert settings.output is not UNSET
    wanted: set[str] = set(settings.output)
    name = _recipe_name(card, turns, wanted)
    read = tuple(turns if card.max_turns is None else turns[-card.max_turns :])
    if name in READS_IMAGE and not any(_has(turn, ImagePart) for turn in read):
        picture = next(_pictures(turns))
        read = (*read[:-1], replace(read[-1], parts=(picture, *read[-1].parts)))
    read = tuple(replace(turn, parts=_pictures_first(turn.parts)) for turn in read)
    recipe = card.recipes[name]
    if "text" not in wanted:
        recipe = replace(recipe, slots=tuple(slot for slot in recipe.slots if slot.name != "text"))
    return _with_steps(recipe, settings), read


def _recipe_name(card: ModelCard, turns: Sequence[Turn], wanted: set[str]) -> str:
    last = turns[-1]
    shows = _has(last, ImagePart) or ("image" not in wanted and next(_pictures(turns), None) is not None)
    names = _candidates(_has(last, SpeechPart), shows, "image" in wanted)
    name = next((name for name in names if name in card.recipes), None)
    if name is None or (name in READS_IMAGE and "text" not in wanted):
        raise ProtocolError(
            f"this model cannot answer a turn of {_kinds(last)} with {' and '.join(sorted(wanted))} alone; "
            f"it can do {', '.join(card.recipes)}; change what the turn holds or omni.output",
            code=errors.UNSUPPORTED_VALUE,
            param="response.omni.output",
        )
    return name


def _candidates(speaks: bool, shows: bool, draws: bool) -> tuple[str, ...]:
    """Recipes that would do, best first."""
    if shows:
        return ("speech_and_image_to_text",) if speaks else ("image_to_text",)
    if speaks:
        return ("speech_to_image",) if draws else ("speech_to_text",)
    # Where there is no recipe for a written reply alone, the reply is read off a picture that is not shown.
    return ("text_to_image",) if draws else ("text_to_text", "text_to_image")


def _with_steps(recipe: Recipe, settings: OmniSettings) -> Recipe:
    if settings.steps is UNSET or settings.steps is None:
        return recipe
    steps = settings.steps
    slots = tuple(replace(slot, steps=steps) if slot.modality == "image" else slot for slot in recipe.slots)
    return replace(recipe, slots=slots)


def _pictures_first(parts: Sequence[Part]) -> tuple[Part, ...]:
    """In the order the model was trained on, whatever order the client sent."""
    return tuple(sorted(parts, key=lambda part: not isinstance(part, ImagePart)))


def _pictures(turns: Sequence[Turn]) -> Iterator[ImagePart]:
    """Newest first."""
    return (part for turn in reversed(turns) for part in reversed(turn.parts) if isinstance(part, ImagePart))


def _has(turn: Turn, kind: type[Part]) -> bool:
    return any(isinstance(part, kind) for part in turn.parts)


def _kinds(turn: Turn) -> str:
    names = {TextPart: "text", SpeechPart: "speech", ImagePart: "an image"}
    return " and ".join(dict.fromkeys(names[type(part)] for part in turn.parts))
