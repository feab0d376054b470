"""The world of the embedded model: its things, colours, numbers, places, and what is said about them.

Everything the small model is trained and judged on is a `Scene` (what is in a picture) and the English that
describes it. The module is pure: no pictures, no sound, no torch. Whole *combinations* are held out for testing
(`Scene.held_out`), so a test never asks for a picture the model has seen.
"""

import hashlib
import random
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

# Spoken name -> CLDR short name of the emoji, 64 things that look and sound apart from each other.
THINGS: dict[str, str] = {
    "dog": "dog face", "cat": "cat face", "pig": "pig face", "rabbit": "rabbit face", "penguin": "penguin",
    "owl": "owl", "elephant": "elephant", "lion": "lion", "panda": "panda", "monkey": "monkey face",
    "fox": "fox", "bear": "bear", "frog": "frog", "turtle": "turtle", "snake": "snake", "fish": "fish",
    "whale": "spouting whale", "octopus": "octopus", "crab": "crab", "butterfly": "butterfly",
    "spider": "spider", "sunflower": "sunflower", "rose": "rose", "tulip": "tulip", "cactus": "cactus",
    "palm tree": "palm tree", "mushroom": "mushroom", "apple": "red apple", "pear": "pear", "banana": "banana",
    "lemon": "lemon", "grapes": "grapes", "strawberry": "strawberry", "watermelon": "watermelon",
    "pineapple": "pineapple", "carrot": "carrot", "tomato": "tomato", "bread": "bread", "hamburger": "hamburger",
    "pizza": "pizza", "doughnut": "doughnut", "cookie": "cookie", "car": "automobile", "bus": "bus",
    "train": "locomotive", "airplane": "airplane", "rocket": "rocket", "sailboat": "sailboat", "house": "house",
    "castle": "castle", "tent": "tent", "sun": "sun", "star": "star", "cloud": "cloud",
    "snowman": "snowman without snow",
    "umbrella": "umbrella", "balloon": "balloon", "ball": "soccer ball", "guitar": "guitar", "book": "blue book",
    "key": "key", "bell": "bell", "crown": "crown", "clock": "alarm clock",
}  # fmt: skip
PLURALS = {
    "fish": "fish", "octopus": "octopuses", "butterfly": "butterflies", "grapes": "grapes",
    "strawberry": "strawberries",
    "tomato": "tomatoes", "bread": "breads", "bus": "buses", "fox": "foxes", "cactus": "cactuses",
}  # fmt: skip
# Soft background colours (RGB) that let every drawing stand out.
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255), "gray": (175, 175, 180), "black": (35, 35, 40), "red": (240, 110, 100),
    "orange": (255, 175, 90), "yellow": (255, 235, 120), "green": (140, 210, 130), "blue": (125, 180, 250),
    "purple": (185, 140, 230), "pink": (255, 190, 215),
}  # fmt: skip
NUMBERS = ("zero", "one", "two", "three", "four")

Layout = Literal["single", "beside", "stacked", "count"]


def plural(thing: str) -> str:
    return PLURALS.get(thing, thing + "s")


def with_article(noun: str) -> str:
    """`apple` -> `an apple`; words that are already many keep none."""
    if noun == plural(noun) and noun == "grapes":
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


@dataclass(frozen=True)
class Scene:
    """What one picture shows.

    `things` holds one name for each object: left before right, top before bottom, equal names for `count`.
    """

    layout: Layout
    things: tuple[str, ...]
    background: str

    @cached_property
    def held_out(self) -> bool:
        """True for the 15 % of combinations that are never trained on (a hash of what is combined with what)."""
        parts = {
            "single": (self.things[0], self.background),
            "count": (self.things[0], str(len(self.things))),
            "beside": tuple(sorted(self.things)),
            "stacked": tuple(sorted(self.things)),
        }[self.layout]
        digest = hashlib.md5("|".join((self.layout[0], *parts)).encode()).hexdigest()
        return int(digest, 16) % 100 < 15

    @property
    def noun(self) -> str:
        """The noun phrase that says everything but the background."""
        first, *rest = self.things
        if self.layout == "single":
            return with_article(first)
        if self.layout == "count":
            return f"{NUMBERS[len(self.things)]} {plural(first)}"
        relation = "to the left of" if self.layout == "beside" else "above"
        return f"{with_article(first)} {relation} {with_article(rest[0])}"

    @property
    def caption(self) -> str:
        """The one canonical description; a test of reading compares with it."""
        return f"{self.noun} on {with_article(self.background)} background"


def random_scene(rng: random.Random, *, held_out: bool = False, things: tuple[str, ...] = tuple(THINGS)) -> Scene:
    """Draw a scene from the training world, or from the combinations kept for testing."""
    while True:
        background = rng.choice(list(BACKGROUNDS))
        kind = rng.random()
        if kind < 0.5:
            scene = Scene("single", (rng.choice(things),), background)
        elif kind < 0.75:
            scene = Scene("count", (rng.choice(things),) * rng.randint(2, 4), background)
        else:
            layout: Layout = "beside" if rng.random() < 0.5 else "stacked"
            scene = Scene(layout, tuple(rng.sample(things, 2)), background)
        if scene.held_out == held_out:
            return scene


def describe(scene: Scene, rng: random.Random) -> str:
    """One of the ways to say what is in the scene (relations may be said from either side)."""
    noun = scene.noun
    if scene.layout in ("beside", "stacked") and rng.random() < 0.5:
        first, second = scene.things
        relation = "to the right of" if scene.layout == "beside" else "below"
        noun = f"{with_article(second)} {relation} {with_article(first)}"
    return f"{noun} on {with_article(scene.background)} background"


def request_to_draw(scene: Scene, rng: random.Random) -> str:
    """How a person asks for the scene."""
    return rng.choice(("draw {}", "draw {}", "please draw {}", "show me {}", "paint {}", "{}")).format(
        describe(scene, rng)
    )


def follow_up(scene: Scene, rng: random.Random) -> tuple[str, Scene]:
    """What one may ask for with the picture in sight, and the scene it asks for: "make it three", "now on green".

    The new scene is one of the world's too, but perhaps a held-out one.
    """
    kinds = ["background"] if scene.layout in ("beside", "stacked") else ["background", "number", "thing"]
    kind = rng.choice(kinds)
    if kind == "background":
        color = rng.choice([color for color in BACKGROUNDS if color != scene.background])
        said = rng.choice(("now on {}", "make the background {}", "on {}", "change the background to {}"))
        return said.format(color), replace(scene, background=color)
    thing, number = scene.things[0], len(scene.things)
    if kind == "number":
        number = rng.choice([n for n in range(1, len(NUMBERS)) if n != number])
        said = rng.choice(("make it {}", "now {}", "make that {}", "i want {} of them")).format(NUMBERS[number])
    else:
        thing = rng.choice([other for other in THINGS if other != thing])
        noun = with_article(thing) if number == 1 else plural(thing)
        said = rng.choice(("make it {}", "now {}", "i want {} instead", "draw {} instead")).format(noun)
    return said, Scene("single" if number == 1 else "count", (thing,) * number, scene.background)


_SINGULAR = {plural(thing): thing for thing in THINGS}
_REQUEST = re.compile(
    r"(?:(?:please )?draw |show me |paint )?(?P<first>.+?)"
    r"(?: (?P<relation>to the left of|to the right of|above|below) (?P<second>.+))?"
    r" on an? (?P<background>\w+) background"
)


def _without_article(noun: str) -> str:
    return re.sub("^an? ", "", noun)


def parse_request(text: str) -> Scene | None:
    """The scene a request asks for, or None when it is no request of this world. The inverse of `request_to_draw`."""
    found = _REQUEST.fullmatch(text)
    if not found or found["background"] not in BACKGROUNDS:
        return None
    if found["relation"]:
        pair = (_without_article(found["first"]), _without_article(found["second"]))
        if found["relation"] in ("to the right of", "below"):
            pair = (pair[1], pair[0])
        layout: Layout = "beside" if found["relation"].startswith("to the") else "stacked"
        return Scene(layout, pair, found["background"]) if all(thing in THINGS for thing in pair) else None
    number, _, noun = found["first"].partition(" ")
    if number in NUMBERS[2:] and noun in _SINGULAR:
        return Scene("count", (_SINGULAR[noun],) * NUMBERS.index(number), found["background"])
    thing = _without_article(found["first"])
    return Scene("single", (thing,), found["background"]) if thing in THINGS else None


QuestionKind = Literal["caption", "what", "how many", "background", "where", "yes or no"]


@dataclass(frozen=True)
class Question:
    """A question about a scene with its only right answer. `about` names the kind for the report card."""

    about: QuestionKind
    text: str
    answer: str


def questions(scene: Scene, rng: random.Random) -> list[Question]:
    """Every question that has one right answer in this scene."""
    found = [
        Question("caption", rng.choice(("what do you see?", "describe the picture")), scene.caption),
        Question("background", "what color is the background?", scene.background),
        Question("how many", "how many things are there?", NUMBERS[len(scene.things)]),
    ]
    if scene.layout in ("single", "count"):
        asked = "what is this?" if scene.layout == "single" else "what are these?"
        found.append(Question("what", asked, scene.things[0]))
    else:
        first, second = scene.things
        left, right = ("to the left of", "to the right of") if scene.layout == "beside" else ("above", "below")
        found.append(Question("where", f"what is {left} the {second}?", first))
        found.append(Question("where", f"what is {right} the {first}?", second))
    present = rng.random() < 0.5
    asked = rng.choice(scene.things) if present else rng.choice([t for t in THINGS if t not in scene.things])
    found.append(Question("yes or no", f"is there {with_article(asked)}?", "yes" if present else "no"))
    return found
