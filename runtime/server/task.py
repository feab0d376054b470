"""Which task a conversation asks for: the recipe, and what of the conversation the model reads."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from operator import itemgetter

from msgspec import UNSET

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import FunctionCall, Item, Message, Role
from omnisdk.protocol.settings import OmniSettings
from runtime.diffusion.canvas import Modality
from runtime.engine.recipe import Recipe
from runtime.engine.request import ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.server.layout import laid_out
from runtime.server.meaning import meaning, pictures_in, written
from runtime.server.model_card import NAMED_BY_INPUTS, ModelCard, makes, reads
from runtime.server.request_words import asks_about_picture, asks_to_draw

TRANSCRIPT, REPLY = "transcript", "text"
EXAMPLES = ("what is this?", "draw a cat", "good morning")  # of the kinds of requests that words tell apart
KINDS: Mapping[type[Part], Modality] = {TextPart: "text", SpeechPart: "speech", ImagePart: "image"}


@dataclass(frozen=True)
class Task:
    """turns: what the model reads. outputs: what the answer holds.

    words: what a spoken answer says that was given its words; None where the recipe writes them itself.
    """

    recipe: Recipe
    turns: tuple[Turn, ...]
    outputs: frozenset[Modality]
    words: str | None = None


def turns_of(items: Sequence[Item], parts: Mapping[str, tuple[Part, ...]], closing: Collection[str] = ()) -> list[Turn]:
    """The conversation as turns: items one after another of the same role are one turn. Ends with the user's last.

    closing: items that end a turn though no answer followed them: what comes next is not said along with them.
    """
    ends = accumulate((str(item.id) in closing for item in items), initial=0)
    said = [
        ((end, _role(item)), part)
        for end, item in zip(ends, items, strict=False)
        for part in parts.get(str(item.id), ())
    ]
    runs = groupby(said, key=itemgetter(0))
    turns = [Turn(role, tuple(part for _, part in run)) for (_, role), run in runs]
    while turns and turns[-1].role != "user":
        turns.pop()
    if not turns:
        raise ProtocolError(
            "there is nothing to answer: the conversation has no user item; create one or commit speech first",
            code=errors.NOTHING_TO_ANSWER,
        )
    return turns


def _role(item: Item) -> Role:
    """Whose say an item is. What a tool gave is read as the user's, as the published chat layout has it."""
    if isinstance(item, Message):
        return item.role
    return "assistant" if isinstance(item, FunctionCall) else "user"


def choose_task(
    card: ModelCard, turns: Sequence[Turn], settings: OmniSettings, said: str | None = None, *, plain: bool = False
) -> Task:
    """What answers the last turn. Raises ProtocolError if the model cannot, or has no recipe of the wanted name.

    said: the words of the last turn; None while nobody knows them. plain: only the words can ask for a picture beside
    speech, since the client does not have the extension.
    """
    assert settings.output is not UNSET
    if settings.canvas is not UNSET:
        return _laid_out_task(card, turns, settings)
    wanted: Sequence[Modality] = settings.output
    meant, said = meaning(card, turns, said, wishing=("image" in wanted or plain) and not settings.recipe)
    if plain and "speech" in wanted and said is not None and asks_to_draw(said) and _draws(card, meant):
        wanted = ("image", *wanted)
    if wanted[0] == "text" and said is not None and not asks_to_draw(said) and _talks(card, meant):
        wanted = [modality for modality in wanted if modality != "image"]
    if settings.recipe is not UNSET and settings.recipe is not None:
        recipe = named_recipe(card, settings.recipe, "response.omni.recipe")
        _check_inputs(card, recipe, meant)
        wanted = makes(recipe)
    else:
        recipe = _fitting_recipe(card, meant, wanted, said)
    outputs = frozenset(wanted) & frozenset(makes(recipe))
    recipe = _until_last(recipe, outputs)
    if _only_speaks(recipe):  # what is read aloud is what was written, to the letter
        return Task(recipe, _read(card, recipe, turns), outputs, written(turns[-1]))
    return Task(recipe, _read(card, recipe, meant), outputs)


def _laid_out_task(card: ModelCard, turns: Sequence[Turn], settings: OmniSettings) -> Task:
    """An answer whose slots the client names. What is heard is part of it only where nothing else is."""
    assert settings.canvas is not UNSET
    recipe = laid_out(card, _kinds(turns[-1]), settings.canvas)
    outputs = frozenset(slot.modality for slot in recipe.slots if slot.name != TRANSCRIPT) or frozenset({"text"})
    words = written(turns[-1]) if _only_speaks(recipe) else None
    return Task(recipe, tuple(turns if card.max_turns is None else turns[-card.max_turns :]), outputs, words)


def named_recipe(card: ModelCard, name: str, param: str) -> Recipe:
    recipe = card.recipes.get(name)
    if recipe is None:
        raise ProtocolError(
            f"there is no recipe {name[:80]!r}; this model has {', '.join(card.recipes)}",
            code=errors.INVALID_VALUE,
            param=param,
        )
    return recipe


def _check_inputs(card: ModelCard, recipe: Recipe, turns: Sequence[Turn]) -> None:
    """A picture may stand anywhere in the conversation, the rest in the last turn."""
    lacking = set(reads(recipe)) - set(_kinds(turns[-1])) - ({"image"} if any(_pictures(turns)) else set())
    if not lacking:
        return
    raise ProtocolError(
        f"recipe {recipe.name!r} reads {_listed(reads(recipe))}, and the turn holds {_listed(_kinds(turns[-1]))}; "
        f"change what the turn holds, or take another recipe of {', '.join(card.recipes)}",
        code=errors.UNSUPPORTED_VALUE,
        param="response.omni.recipe",
    )


def hears(recipe: Recipe) -> bool:
    """Whether it writes down what was spoken."""
    return any(slot.name == TRANSCRIPT for slot in recipe.slots)


@dataclass(frozen=True)
class Choice:
    """What answers a turn, chosen when its words are known, if they will be. The fields are those of `choose_task`."""

    card: ModelCard
    turns: tuple[Turn, ...]
    settings: OmniSettings
    plain: bool = False

    def task(self, said: str | None) -> Task:
        """Raises ProtocolError."""
        return choose_task(self.card, self.turns, self.settings, said, plain=self.plain)

    @property
    def hangs_on_words(self) -> bool:
        """Whether a spoken turn is to be heard before: its words tell, and to hear it costs no step more."""
        if not hears(self.task(None).recipe):
            return False
        if self.card.follow_ups is not None and any(_pictures(self.turns)):
            return True  # it may be a wish about the last of them
        tasks = [self.heard(words) for words in EXAMPLES]
        return len({(task.recipe.name, task.outputs) for task in tasks}) > 1

    def heard(self, words: str) -> Task:
        """Once it was heard. Nobody can point at what a client without the extension said: it may as well be written.

        Then no picture is made on the way to an answer that is spoken.
        """
        if not self.plain or not hears(self.task(None).recipe):
            return self.task(words)
        last = self.turns[-1]
        others = tuple(part for part in last.parts if not isinstance(part, SpeechPart))
        written_down = (*self.turns[:-1], replace(last, parts=(*others, TextPart(words))))
        return replace(self, turns=written_down).task(written(written_down[-1]))


def _draws(card: ModelCard, turns: Sequence[Turn]) -> bool:
    """Whether a turn that holds this can be answered with a picture at all."""
    held = set(_kinds(turns[-1])) - {"text"}
    return "image" not in held and any(
        NAMED_BY_INPUTS in recipe.name and set(reads(recipe)) - {"text"} == held and "image" in makes(recipe)
        for recipe in card.recipes.values()
    )


def _talks(card: ModelCard, turns: Sequence[Turn]) -> bool:
    """Whether words alone can be answered in words alone, without a picture on the way to them."""
    return not set(_kinds(turns[-1])) - {"text"} and any(
        NAMED_BY_INPUTS in recipe.name and reads(recipe) == ("text",) and makes(recipe)[0] == "text"
        for recipe in card.recipes.values()
    )


def _fitting_recipe(card: ModelCard, turns: Sequence[Turn], wanted: Sequence[Modality], said: str | None) -> Recipe:
    """The recipe that reads what the last turn holds and makes most of what is wanted and least else.

    A picture shown or drawn before is read along where the turn asks about it, or may, and no picture is wanted before
    all else. Recipes that change a picture are taken only where they are named.
    """
    held = _kinds(turns[-1])
    media = [set(held) - {"text"}]
    if wanted[0] != "image" and any(_pictures(turns)):
        about = "image" not in wanted if said is None else asks_about_picture(said)
        media.insert(0 if about else 1, media[0] | {"image"})
    for read in media:
        fitting = [
            recipe
            for recipe in card.recipes.values()
            if NAMED_BY_INPUTS in recipe.name
            and set(reads(recipe)) - {"text"} == read
            and ("image" not in read or "image" not in makes(recipe))
        ]
        best = max(fitting, key=lambda recipe: _worth(recipe, wanted), default=None)
        if best is not None and set(makes(best)) & set(wanted):
            return best
    raise ProtocolError(
        f"this model cannot answer a turn of {_listed(held)} with {' and '.join(sorted(set(wanted)))} alone; "
        f"it can do {', '.join(card.recipes)}; change what the turn holds or omni.output",
        code=errors.UNSUPPORTED_VALUE,
        param="response.omni.output",
    )


def _worth(recipe: Recipe, wanted: Sequence[Modality]) -> tuple[list[bool], int]:
    """What is wanted first counts most; of equals, that which makes least besides."""
    made = makes(recipe)
    return [modality in made for modality in wanted], -len(set(made) - set(wanted))


def _until_last(recipe: Recipe, outputs: frozenset[Modality]) -> Recipe:
    """Without the slots behind the last one that is wanted; those before it are what it rests on."""
    last = max(index for index, slot in enumerate(recipe.slots) if slot.modality in outputs)
    return replace(recipe, slots=recipe.slots[: last + 1])


def _read(card: ModelCard, recipe: Recipe, turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """As many of the turns as the model takes, the newest picture with them if it reads one."""
    read = tuple(turns if card.max_turns is None else turns[-card.max_turns :])
    if "image" in reads(recipe) and not any(_pictures(read)):
        picture = next(_pictures(turns))
        read = (*read[:-1], replace(read[-1], parts=(picture, *read[-1].parts)))
    return read


def _only_speaks(recipe: Recipe) -> bool:
    return makes(recipe) == ("speech",) and reads(recipe) == ("text",)


def _pictures(turns: Sequence[Turn]) -> Iterator[ImagePart]:
    """Newest first."""
    return (part for turn in reversed(turns) for part in reversed(pictures_in(turn)))


def _kinds(turn: Turn) -> tuple[Modality, ...]:
    return tuple(dict.fromkeys(KINDS[type(part)] for part in turn.parts))


def _listed(kinds: Sequence[Modality]) -> str:
    return " and ".join("an image" if kind == "image" else kind for kind in kinds)
