"""What the answers of a request can be held against, if anything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.codecs.vocabulary import END_OF_TEXT
from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.evidence import Drawing, Evidence, Spelling, claimed
from runtime.engine.hearing import Hearing, LayOut
from runtime.engine.implication import Implication, implied_answers
from runtime.engine.model import OmniModel
from runtime.engine.prompt import Content, EncodedImage, EncodedSpeech, EncodedTurn
from runtime.engine.recipe import Recipe, SlotRecipe
from runtime.engine.rules import Explained
from runtime.engine.search import Search


@dataclass(frozen=True)
class Grounds:
    """What was given, and what of it the model knows to ask.

    turns: what is answered, encoded. hearing: how what was said is read once it is written down.
    """

    model: OmniModel
    turns: Sequence[EncodedTurn]
    recipe: Recipe
    lay_out: LayOut
    hearing: Hearing | None = None

    def search(
        self, canvas: Canvas, slot: Slot, numbers: SlotRecipe, seen: Callable[[Canvas], Canvas]
    ) -> Search | None:
        """For one slot of the recipe; None where one answer is enough, or nothing speaks for one or the other."""
        if numbers.hypotheses < 2 or numbers.guidance_scale or slot.choices:
            return None
        evidence = self._sound() if numbers.stands_for_speech else self._picture(canvas, numbers)
        if evidence is None:
            return None
        return Search(canvas, slot, numbers, evidence, self.model.text, self._padding, seen)

    @property
    def _padding(self) -> int:
        return self.model.vocabulary[END_OF_TEXT]

    def _sound(self) -> Evidence | None:
        spelled, heard = self.model.spelled, [part for part in self._parts() if isinstance(part, EncodedSpeech)]
        if spelled is None or not heard or heard[-1].letters is None:
            return None
        return Spelling(heard[-1].letters, spelled.letters, spelled.weight)

    def _picture(self, canvas: Canvas, numbers: SlotRecipe) -> Evidence | None:
        explained, shown = self.model.explained, [part for part in self._parts() if isinstance(part, EncodedImage)]
        if explained is None or not shown or self.recipe.name not in explained.recipes:
            return None
        question = self._asked(canvas)
        implied = implied_answers(question, explained.implied)
        drawing = self._drawing(shown[-1], question if implied is None else implied[0], explained)
        if implied is None or drawing is None:
            return drawing
        return Implication(*implied, drawing, numbers.hypotheses, self._padding)

    def _drawing(self, shown: EncodedImage, question: str, explained: Explained) -> Drawing | None:
        requests = claimed(question, explained.claims)
        if not requests:
            return None
        reads, draws = self.model.recipes[explained.reads], self.model.recipes[explained.draws]
        return Drawing(shown, requests, explained.weight, reads, draws, self.lay_out, self.model.text)

    def _parts(self) -> list[Content]:
        return [content for turn in self.turns for content in turn.contents]

    def _asked(self, canvas: Canvas) -> str:
        written = " ".join(content for content in self.turns[-1].contents if isinstance(content, str))
        return written if self.hearing is None else self.hearing.words(canvas)
