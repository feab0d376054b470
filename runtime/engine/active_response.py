"""A response being made: its canvas, how far it is, and what the next forward pass has to score for it."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.codecs.vocabulary import END_OF_TEXT, Vocabulary
from runtime.diffusion.canvas import Canvas, Slot
from runtime.diffusion.choice import choose, not_empty, unsure, untorn
from runtime.diffusion.commit import REVISED_UNTIL, doubtful
from runtime.diffusion.denoise import allowed, close, commit_all, denoise_step, masked_positions, step_generator
from runtime.diffusion.guidance import guided
from runtime.engine import edits as editing
from runtime.engine.changes import (
    Change,
    Dated,
    Editing,
    Finalizing,
    Record,
    Reseeding,
    Steering,
    Tuning,
    check_tuning,
)
from runtime.engine.edits import EditError
from runtime.engine.engine import Sink
from runtime.engine.grounds import Grounds
from runtime.engine.hearing import Hearing
from runtime.engine.narration import Narrator
from runtime.engine.output import SlotState, Usage
from runtime.engine.pace import affordable, shared
from runtime.engine.preview import Previewer
from runtime.engine.recipe import Recipe, SlotRecipe
from runtime.engine.request import GenerationRequest
from runtime.engine.reuse import CanvasReuse
from runtime.engine.scheduler import PATIENCE_S
from runtime.engine.search import Search
from runtime.engine.steering import Laid, Weighing, carried_over
from runtime.executors.executor import ForwardItem


def carried(canvas: Canvas, slot: Slot, other: Canvas) -> Canvas:
    """`other` with what the slot holds in `canvas`; its other slots stay as they are.

    So guidance compares with nothing said, not with nothing but the transcript.
    """
    place = other.slot(slot.name)
    positions = torch.arange(place.start, place.start + place.length)
    return other.fill(positions, canvas.tokens_of(slot), canvas.confidence[slot.positions])


@dataclass
class ActiveResponse:
    """Belongs to the engine's thread.

    recipe: the request's, with the lengths it got.
    submitted_s, began_s, served_s: clock readings; began_s when its first step could start, served_s of its last step.
    slot_steps: steps run by slot name. allowances: steps a slot may take in all, where not those of its recipe.
    guesses: the likeliest tokens of each slot at its last step. revised: (canvas length,) what was opened again by a
    doubt, which happens to a position once. temperature: where not that of the recipe.
    reuses: what passes may leave out, by slot and whether the prompt is there.
    committing: fill all that is left in the next step.
    reseeded: the seed chance goes on from, where not the request's. steered: the canvas of other turns, laid out, and
    the bound by which it is weighed before the next step what of the slots stays.
    narrator: lays speech along its words, of a model that knows how long these last. hearing: how what was said is read
    once it is written down. grounds: what its texts can be held against. searches: the text slots being filled so.
    changes: all that was changed on the way. moments: by number of steps, the answer as it was then.
    inherited_steps: of `num_steps`, those that another answer ran before this one was forked from it.
    """

    request: GenerationRequest
    sink: Sink
    submitted_s: float
    recipe: Recipe
    canvas: Canvas
    unprompted: Canvas | None
    began_s: float
    narrator: Narrator | None = None
    hearing: Hearing | None = None
    grounds: Grounds | None = None
    served_s: float = 0.0
    last_served: int = 0
    committing: bool = False
    slot_steps: Counter[str] = field(default_factory=Counter)
    allowances: dict[str, int] = field(default_factory=dict)
    temperature: float | None = None
    unmasked_per_step: list[int] = field(default_factory=list)
    guesses: dict[str, Tensor] = field(default_factory=dict)
    reuses: dict[tuple[str, bool], CanvasReuse] = field(default_factory=dict)
    searches: dict[str, Search] = field(default_factory=dict)
    revised: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))
    reseeded: int | None = None
    steered: tuple[Canvas, float] | None = None
    changes: list[Dated] = field(default_factory=list)
    moments: dict[int, "ActiveResponse"] = field(default_factory=dict)
    inherited_steps: int = 0

    @property
    def tenant(self) -> str:
        return self.request.tenant

    @property
    def due_s(self) -> float:
        deadline_ms, patient_until_s = self.request.deadline_ms, max(self.began_s, self.served_s) + PATIENCE_S
        return patient_until_s if deadline_ms is None else min(patient_until_s, self.submitted_s + deadline_ms / 1000)

    @property
    def num_canvases(self) -> int:
        if (search := self._search()) is not None:
            return len(search.items)
        return 1 if self.unprompted is None else 2

    @property
    def longest_canvas(self) -> int:
        return max(len(self.canvas), len(self.unprompted) if self.unprompted is not None else 0)

    @property
    def num_steps(self) -> int:
        """Steps run."""
        return len(self.unmasked_per_step)

    @property
    def planned_steps(self) -> int:
        """Steps run and still to run; fewer than the recipe's when a text ends early."""
        return self.num_steps + sum(self.steps_left().values())

    def steps_left(self) -> dict[str, int]:
        """Steps still planned for each slot that is not complete."""
        return {
            slot.name: max(1, self._allowance(slot) - self.slot_steps[slot.name])
            for slot in self.canvas.slots
            if self.canvas.num_masked(slot)
        }

    def _allowance(self, slot: Slot) -> int:
        return self.allowances.get(slot.name, self.recipe_of(slot).steps)

    @property
    def complete(self) -> bool:
        return self.canvas.active_slot is None

    def recipe_of(self, slot: Slot) -> SlotRecipe:
        return next(recipe for recipe in self.recipe.slots if recipe.name == slot.name)

    def open_slots(self) -> tuple[Slot, ...]:
        """The slots the next step fills: those of the lowest stage, or all that is left when committing."""
        unfinished = tuple(slot for slot in self.canvas.slots if self.canvas.num_masked(slot))
        lowest = min((slot.stage for slot in unfinished), default=0)
        return tuple(slot for slot in unfinished if self.committing or slot.stage == lowest)

    def items(self) -> list[ForwardItem]:
        """For each open slot one item, and a second without the prompt where it is guided."""
        if (weighing := self._weighing()) is not None:
            return weighing.items()
        if (search := self._search()) is not None:
            return search.items
        return [item for slot in self.open_slots() for item in self._slot_items(slot)]

    def _weighing(self) -> Weighing | None:
        if self.steered is None:
            return None
        laid, bound = self.steered
        return Weighing(self.canvas, carried_over(self.canvas, laid), bound)

    def _search(self) -> Search | None:
        """Of the one open slot, if there is something to hold its texts against.

        Who wants chance, or an end in so many steps, gets that.
        """
        slots = self.open_slots()
        if self.committing or self.hurried or self.grounds is None or len(slots) != 1:
            return None
        slot, numbers = slots[0], self.recipe_of(slots[0])
        if numbers.temperature if self.temperature is None else self.temperature:
            return None
        if slot.name not in self.searches:
            search = self.grounds.search(self.canvas, slot, numbers, partial(self._view, slot=slot))
            if search is None:
                return None
            self.searches[slot.name] = search
        return self.searches[slot.name]

    @property
    def hurried(self) -> bool:
        """Whether somebody said how many steps are left."""
        return any(isinstance(d.change, Tuning) and d.change.steps_left is not None for d in self.changes)

    def _slot_items(self, slot: Slot) -> list[ForwardItem]:
        items = [self._item(slot, self._view(self.canvas, slot), prompted=True)]
        if self.recipe_of(slot).guidance_scale and self.unprompted is not None:
            items.append(self._item(slot, self._unprompted(slot, self.unprompted), prompted=False))
        return items

    def _unprompted(self, slot: Slot, nothing_said: Canvas) -> Canvas:
        """What guidance compares with; of a slot that reads what was said, laid out as what it reads is."""
        if self.hearing is not None and self.hearing.reads(self.canvas, slot):
            return carried(self.canvas, slot, self.hearing.unprompted)
        unprompted = carried(self.canvas, slot, nothing_said)
        return unprompted if slot.modality == "speech" else self._seen(unprompted)

    def _item(self, slot: Slot, canvas: Canvas, *, prompted: bool) -> ForwardItem:
        """A pass over `canvas`, which has the slot somewhere, for what of it is open."""
        rows = masked_positions(self.canvas, slot) - slot.start + canvas.slot(slot.name).start
        return ForwardItem(canvas, rows, slot.vocabulary, self._reuse(slot, prompted).plan(canvas, rows))

    def _view(self, canvas: Canvas, slot: Slot) -> Canvas:
        """What a pass for a slot works on."""
        written = None if self.hearing is None else self.hearing.seen(canvas, slot)
        return self._seen(canvas) if written is None else written

    def _seen(self, canvas: Canvas) -> Canvas:
        """What a pass works on where nothing is read as written: speech comes in when its words are known."""
        return canvas if self.narrator is None or self.committing else self.narrator.without_speech(canvas, self.recipe)

    def _reuse(self, slot: Slot, prompted: bool) -> CanvasReuse:
        """That of the slots being filled; what was kept for others is let go."""
        filled = {slot.name for slot in self.open_slots()}
        if any(name not in filled for name, _ in self.reuses):
            self.reuses.clear()
        if self.committing:  # the last step is exact
            return CanvasReuse(1)
        return self.reuses.setdefault((slot.name, prompted), CanvasReuse(self.recipe_of(slot).refresh_every))

    def advance(self, scores: list[Tensor], vocabulary: Vocabulary) -> None:
        """Denoise with the scores of `items`, in their order. A step that weighs what stays only opens."""
        before = self.canvas.masked.sum()
        if (weighing := self._weighing()) is not None:
            self.steered = None
            self._open(weighing.weighed(scores))
        elif (search := self._search()) is not None:
            search.advance(scores)
            self.canvas = search.canvas
            self.slot_steps[search.slot.name] += 1
            if not self.canvas.num_masked(search.slot):  # what it weighed is large, and answers are kept for a while
                del self.searches[search.slot.name]
        else:
            self._fill(iter(scores), vocabulary)
        if self.narrator is not None:
            self.canvas = self.narrator.laid(self.canvas, self.recipe)
        self.unmasked_per_step.append(int(before - self.canvas.masked.sum()))
        self.remember()

    def _fill(self, scores: Iterator[Tensor], vocabulary: Vocabulary) -> None:
        for slot in self.open_slots():
            slot_scores = self._slot_scores(slot, scores)
            self.canvas = self._denoise(slot, slot_scores)
            self.canvas = self._revise(slot)
            self.canvas = close(self.canvas, slot, vocabulary[END_OF_TEXT])

    def remember(self) -> None:
        """Keep this moment to go on from later; of too many the oldest is let go."""
        if not self.request.kept_steps:
            return
        self.moments[self.num_steps] = self._apart(moments={})
        if len(self.moments) > self.request.kept_steps + 1:
            del self.moments[min(self.moments)]

    def states(self, previewer: Previewer) -> tuple[SlotState, ...]:
        """A snapshot of every slot."""
        return tuple(self._state(previewer, slot) for slot in self.canvas.slots)

    def _state(self, previewer: Previewer, slot: Slot) -> SlotState:
        state = previewer.state(self.canvas, slot)
        return replace(state, paint=self._painter(previewer, slot)) if slot.modality == "image" else state

    def _painter(self, previewer: Previewer, slot: Slot) -> Callable[[], NDArray[np.uint8]] | None:
        """Paints the slot as it is now, whatever becomes of it later; None if there is nothing to see."""
        guesses = self.guesses.get(slot.name)
        if guesses is None and self.canvas.num_masked(slot):
            return None
        return partial(previewer.paint, self.canvas, slot, guesses)

    def _slot_scores(self, slot: Slot, scores: Iterator[Tensor]) -> Tensor:
        """Takes the scores of `_slot_items` off the front."""
        conditional = next(scores)
        scale = self.recipe_of(slot).guidance_scale
        if not scale or self.unprompted is None:
            return conditional
        return guided(conditional, next(scores), scale)

    def _denoise(self, slot: Slot, scores: Tensor) -> Canvas:
        recipe, step, before = self.recipe_of(slot), self.slot_steps[slot.name], self.guesses.get(slot.name)
        self._guess(slot, scores)
        self.slot_steps[slot.name] += 1
        if self.temperature is not None:
            recipe = replace(recipe, temperature=self.temperature)
        if slot.choices:
            return choose(self.canvas, slot, scores)
        may_be = allowed(self.canvas, slot, scores)
        if (doubting := unsure(self.canvas, slot, may_be, recipe.unsure_margin)) is not None:
            return doubting
        scores = not_empty(self.canvas, slot, untorn(self.canvas, slot, may_be))
        if self.committing:
            return commit_all(self.canvas, slot, scores, recipe)
        generator = step_generator(self.seed, step, slot.name)
        steps = max(step + 1, self._allowance(slot))
        return denoise_step(self.canvas, slot, scores, recipe, step, steps, generator, before)

    def _revise(self, slot: Slot) -> Canvas:
        """Open again what was filled in doubt, each position once, while there are steps to fill it."""
        below = self.recipe_of(slot).revise_below
        late = self.slot_steps[slot.name] > REVISED_UNTIL * self._allowance(slot)
        if not below or late or self.committing:
            return self.canvas
        if not len(self.revised):
            self.revised = torch.zeros(len(self.canvas), dtype=torch.bool)
        fixed = (self.canvas.pinned | self.revised)[slot.positions]
        places = doubtful(self.canvas.confidence[slot.positions], fixed, below) + slot.start
        self.revised = self.revised.index_fill(0, places, True)
        return self.canvas.reopen(places) if len(places) else self.canvas

    def _guess(self, slot: Slot, scores: Tensor) -> None:
        guesses = self.canvas.tokens_of(slot).clone()
        best = allowed(self.canvas, slot, scores).argmax(-1)
        guesses[guesses == self.canvas.mask_id] = best + slot.vocabulary[0]
        self.guesses[slot.name] = guesses

    def usage(self) -> Usage:
        """What was read and what is written so far; what stands behind the end of an answer does not count."""
        canvas = self.canvas
        prompt_stop = min(slot.start for slot in canvas.slots)
        speech = sum(len(rows.embeddings) for rows in canvas.speech)
        image = int((canvas.image_cells[:prompt_stop] >= 0).sum())
        written = Counter[str]()
        for slot in canvas.slots:
            written[slot.modality] += int((canvas.said(slot) != canvas.mask_id).sum())
        return Usage(
            input_text=prompt_stop - speech - image,
            input_speech=speech,
            input_image=image,
            output_text=written["text"],
            output_speech=written["speech"],
            output_image=written["image"],
            steps=self.num_steps - self.inherited_steps,
        )

    def eta_ms(self, now_s: float) -> float:
        """Time the rest takes if it goes on as it did."""
        if not self.num_steps:
            return math.nan
        return 1000 * (now_s - self.began_s) / self.num_steps * (self.planned_steps - self.num_steps)

    def slack_s(self, now_s: float) -> float:
        """Seconds to the deadline, negative past it; infinite without one."""
        deadline_ms = self.request.deadline_ms
        return math.inf if deadline_ms is None else deadline_ms / 1000 - (now_s - self.submitted_s)

    def keep_pace(self, now_s: float, step_s: float) -> None:
        """Leave out steps for which there is no time; past the deadline fill all that is left in one.

        step_s: how long a step takes these days, 0 if that is not known.
        """
        slack_s, left = self.slack_s(now_s), self.steps_left()
        if math.isinf(slack_s) or self.committing or not left:
            return
        planned = sum(left.values())
        floor = self.request.floor_steps - self.num_steps
        if slack_s <= 0 and floor <= 1:
            if planned > 1 or self.searches:  # a last plain step finishes it anyway
                self.change(Finalizing())
            return
        self._allow(affordable(slack_s, step_s, max(floor, 1), planned))

    def change(self, change: Change, laid: Laid | None = None) -> None:
        """Make a change now and note it. laid: of a steering, its turns laid out. Raises EditError."""
        match change:
            case Editing(edits):
                self._open(editing.apply(self.canvas, edits))
            case Tuning():
                self._tune(change)
            case Reseeding(seed):
                self.reseeded = seed
            case Finalizing():
                self.committing = True
                self.searches.clear()
            case Steering():
                assert laid is not None
                self._steer(change, laid)
        self.changes.append(Dated(self.num_steps, change))

    @property
    def seed(self) -> int:
        return self.request.seed if self.reseeded is None else self.reseeded

    @property
    def record(self) -> Record:
        return Record(self.recipe, self.request.seed, tuple(self.changes))

    def _tune(self, tuning: Tuning) -> None:
        check_tuning(tuning)
        self.searches.clear()
        if tuning.temperature is not None:
            self.temperature = tuning.temperature
        if tuning.steps_left is not None:
            self._spread(tuning.steps_left)

    def _steer(self, steering: Steering, laid: Laid) -> None:
        after = carried_over(self.canvas, laid.canvas)
        self.hearing, self.grounds = laid.hearing, laid.grounds
        if steering.opened is None:
            self.steered = laid.canvas, steering.bound
        else:
            self.steered = None
            self._open(editing.apply(after, steering.opened))

    def _open(self, canvas: Canvas) -> None:
        """Go on with `canvas`; what it has open that was filled gets its share of the recipe's steps."""
        before, self.canvas = self.canvas, canvas
        self.reuses.clear()
        self.searches.clear()
        if len(before) != len(canvas):
            self.revised = torch.empty(0, dtype=torch.bool)
        for slot in self.canvas.slots:
            opened = self.canvas.num_masked(slot)
            if opened > before.num_masked(before.slot(slot.name)):
                share = math.ceil(self.recipe_of(slot).steps * opened / slot.length)
                self.allowances[slot.name] = max(self._allowance(slot), self.slot_steps[slot.name] + share)

    def fork(
        self, request: GenerationRequest, sink: Sink, now_s: float, at_step: int | None = None
    ) -> "ActiveResponse":
        """The same answer so far, or as it was after `at_step` steps, to be gone on with apart from this one.

        Raises EditError.
        """
        source = self if at_step is None else self._moment(at_step)
        moments = {step: moment for step, moment in self.moments.items() if step <= source.num_steps}
        began_s = now_s - max(0.0, source.served_s - source.began_s)
        return source._apart(
            request=request,
            sink=sink,
            submitted_s=now_s,
            began_s=began_s,
            served_s=now_s,
            moments=moments,
            inherited_steps=source.num_steps,
        )

    def _moment(self, at_step: int) -> "ActiveResponse":
        if at_step in self.moments:
            return self.moments[at_step]
        kept = f"steps {min(self.moments)} to {max(self.moments)} are" if self.moments else "no step is"
        raise EditError(f"step {at_step} came; {kept} kept of this answer; name one of them")

    def _apart(self, **own: Any) -> "ActiveResponse":
        return replace(
            self,
            slot_steps=self.slot_steps.copy(),
            allowances=self.allowances.copy(),
            unmasked_per_step=list(self.unmasked_per_step),
            reuses={},
            searches={},
            guesses=self.guesses.copy(),
            changes=list(self.changes),
            **own,
        )

    def _spread(self, steps: int) -> None:
        """Let all that is open take `steps` in all, in the proportions it has."""
        left = self.steps_left()
        scale = max(1, math.ceil(steps / max(1, sum(left.values()))))
        for name, count in shared(steps, {name: count * scale for name, count in left.items()}).items():
            self.allowances[name] = self.slot_steps[name] + count

    def _allow(self, steps: int) -> None:
        if steps < sum(self.steps_left().values()):
            self.change(Tuning(steps_left=steps))
