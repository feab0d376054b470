"""A response made exactly as the published code makes it, beside those made right: same engine, same outputs.

The answer is one run of positions in which any token may come anywhere. What clients see while it forms are windows on
it, where the recipe's parts usually come to lie; the finished parts are read off the whole answer, as published.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from runtime.codecs.image import Pixels
from runtime.codecs.vocabulary import BEGIN_OF_SPEECH, TURN_END, TURN_START, Vocabulary
from runtime.diffusion.canvas import Canvas, Slot
from runtime.diffusion.reference import ReferenceDecoding
from runtime.diffusion.reference_rule import ReferenceRule
from runtime.engine.active_response import ActiveResponse
from runtime.engine.changes import Change, Finalizing
from runtime.engine.edits import EditError
from runtime.engine.engine import Sink
from runtime.engine.output import SlotState, TextSpan, Usage
from runtime.engine.preview import Previewer, grid
from runtime.engine.recipe import Recipe
from runtime.engine.reference import ReferencePrompt, forward_items, step_scores
from runtime.engine.request import GenerationRequest
from runtime.engine.steering import Laid
from runtime.executors.executor import ForwardItem

UNCHANGEABLE = (
    "in reference fidelity an answer is made as published and cannot be changed on the way; serve in corrected"
)
FRAME_OF_PICTURE = 4  # tokens of an answer around its picture: begin, end, end of turn, line break


def reference_rule(recipe: Recipe, vocabulary: Vocabulary) -> ReferenceRule:
    """The recipe's numbers as one generation; those of its last slot where slots differ."""
    main = recipe.slots[-1]
    lengths = sum(slot.length for slot in recipe.slots)
    speaks_after_text = len(recipe.slots) > 1 and main.modality == "speech"
    max_new_tokens = lengths + (FRAME_OF_PICTURE if main.modality == "image" else int(speaks_after_text))
    return ReferenceRule(
        max_new_tokens=max_new_tokens,
        steps=max(1, recipe.steps * max_new_tokens // lengths),
        confidence=main.confidence,
        temperature=main.temperature,
        top_k=main.top_k,
        top_p=main.top_p,
        repeat_penalty=main.repeat_penalty,
        position_penalty=main.position_penalty,
        guidance_scale=main.guidance_scale,
        begin_of_speech=vocabulary[BEGIN_OF_SPEECH] if speaks_after_text else None,
    )


def windows(recipe: Recipe, prompt_length: int, vocabulary: Vocabulary) -> Iterator[Slot]:
    """Where the recipe's parts usually lie in the answer."""
    start = prompt_length
    for stage, slot in enumerate(recipe.slots):
        if slot.modality == "image" or (slot.modality == "speech" and stage):
            start += 1  # behind its begin
        yield Slot(slot.name, slot.modality, start, slot.length, (0, len(vocabulary)), stage)
        start += slot.length


@dataclass(kw_only=True)
class ReferenceResponse(ActiveResponse):
    """`canvas` is only what is shown; the answer is in `decoding`.

    dtype: what the model computes in.
    """

    prompt: ReferencePrompt
    decoding: ReferenceDecoding
    vocabulary: Vocabulary
    dtype: torch.dtype
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.request.seed)

    @property
    def num_canvases(self) -> int:
        return 2 if self.decoding.rule.guidance_scale else 1

    @property
    def longest_canvas(self) -> int:
        return len(self.decoding.token_ids)

    @property
    def planned_steps(self) -> int:
        return self.num_steps if self.complete else sum(block.steps for block in self.decoding.blocks)

    @property
    def complete(self) -> bool:
        return self.decoding.done

    @property
    def answer(self) -> Tensor:
        """(max_new_tokens,) token ids."""
        return self.decoding.token_ids[len(self.prompt.token_ids) :]

    def items(self) -> list[ForwardItem]:
        return forward_items(self.prompt, self.decoding, len(self.vocabulary))

    def advance(self, scores: list[Tensor], vocabulary: Vocabulary) -> None:
        before = int(self.decoding.masked.sum())
        guided = step_scores(scores, self.decoding.rule, self.dtype)
        self._guess_all(guided)
        if self.committing:
            token_ids = self.decoding.token_ids.clone()
            token_ids[self.decoding.rows()] = guided.argmax(-1)
            self.decoding = replace(self.decoding, token_ids=token_ids, block=len(self.decoding.blocks))
        else:
            self.decoding = self.decoding.advance(guided, self.generator)
        self._show()
        self.unmasked_per_step.append(before - int(self.decoding.masked.sum()))

    def _guess_all(self, scores: Tensor) -> None:
        """The best picture token of each open position of a window on a picture."""
        rows, (first, stop) = self.decoding.rows(), self.vocabulary.image
        best = scores[:, first:stop].float().argmax(-1) + first
        whole = self.decoding.token_ids.clone()
        whole[rows] = best
        for slot in self.canvas.slots:
            if slot.modality == "image":
                self.guesses[slot.name] = whole[slot.positions]

    def _show(self) -> None:
        record, kept = self.decoding.last, self.canvas.confidence.clone()
        if record is not None and not self.committing:
            sure = record.confidence.float()[torch.searchsorted(record.rows, record.filled)]
            kept[record.filled] = sure.exp() if self.decoding.rule.confidence == "entropy" else sure
        shown = self.canvas.token_ids.clone()
        shown[len(self.prompt.token_ids) :] = self.answer
        self.canvas = replace(self.canvas, token_ids=shown, confidence=kept)

    def keep_pace(self, now_s: float, step_s: float) -> None:
        """The published loop cannot take fewer steps: past the deadline all that is left is filled in one."""
        late = self.slack_s(now_s) <= 0 and self.num_steps >= self.request.floor_steps
        if not self.committing and late and self.planned_steps - self.num_steps > 1:
            self.change(Finalizing())

    def change(self, change: Change, laid: Laid | None = None) -> None:
        if not isinstance(change, Finalizing):
            raise EditError(UNCHANGEABLE)
        super().change(change)

    def remember(self) -> None:
        """It cannot be gone on with from a step."""

    def fork(self, request: GenerationRequest, sink: Sink, now_s: float, at_step: int | None = None) -> ActiveResponse:
        raise EditError(UNCHANGEABLE)

    def states(self, previewer: Previewer) -> tuple[SlotState, ...]:
        if self.complete:
            return tuple(self._finished(previewer, slot) for slot in self.canvas.slots)
        return super().states(previewer)

    def _painter(self, previewer: Previewer, slot: Slot) -> Callable[[], Pixels] | None:
        """What is no picture token in the window is shown as the best guess there."""
        tokens, guesses = self.canvas.tokens_of(slot), self.guesses.get(slot.name)
        if guesses is None:
            return None
        first, stop = self.vocabulary.image
        codes = torch.where((tokens >= first) & (tokens < stop), tokens, guesses).clamp(first, stop - 1) - first
        return partial(previewer.image.decode, codes.view(grid(slot)))

    def _finished(self, previewer: Previewer, slot: Slot) -> SlotState:
        state = replace(previewer.state(self.canvas, slot), tokens=self.canvas.tokens_of(slot).numpy())
        if slot.modality == "text":
            text = written(self.answer, previewer)
            return replace(state, text=text, spans=(TextSpan(0, len(text), False, 1.0),) if text else ())
        if slot.modality == "image":
            return replace(state, paint=self._whole_picture(previewer, slot))
        return replace(state, sound=partial(previewer.sound_of, self.answer), speaker=None)

    def _whole_picture(self, previewer: Previewer, slot: Slot) -> Callable[[], Pixels] | None:
        """Of picture tokens in the order they stand, wherever; the last one again where some are missing."""
        first, stop = self.vocabulary.image
        codes = self.answer[(self.answer >= first) & (self.answer < stop)][: slot.length] - first
        if not len(codes):
            return None
        missing = codes[-1:].expand(slot.length - len(codes))
        return partial(previewer.image.decode, torch.cat([codes, missing]).view(grid(slot)))

    def usage(self) -> Usage:
        """All of the answer counts, what stands behind its end as well."""
        spoken = sum(len(rows.embeddings) for rows in self.prompt.speech)
        first, stop = self.vocabulary.image
        shown = int(((self.prompt.token_ids >= first) & (self.prompt.token_ids < stop)).sum())
        kinds = {"speech": self.vocabulary.speech, "image": self.vocabulary.image}
        counts = {kind: int(((self.answer >= a) & (self.answer < b)).sum()) for kind, (a, b) in kinds.items()}
        return Usage(
            input_text=len(self.prompt.token_ids) - spoken - shown,
            input_speech=spoken,
            input_image=shown,
            output_text=int((self.answer != self.decoding.mask_id).sum()) - counts["speech"] - counts["image"],
            output_speech=counts["speech"],
            output_image=counts["image"],
            steps=self.num_steps,
        )


def written(answer: Tensor, previewer: Previewer) -> str:
    """The text of an answer. Kept from the published code: the marks of a turn are read out, and what follows them."""
    marks = {previewer.vocabulary[name]: name for name in (TURN_START, TURN_END)}
    runs = groupby(answer.tolist(), key=lambda token: marks.get(token, ""))
    return "".join(mark * len(list(run)) if mark else previewer.text.decode(list(run)) for mark, run in runs)


def shown_canvas(prompt: Canvas, recipe: Recipe, decoding: ReferenceDecoding, vocabulary: Vocabulary) -> Canvas:
    """The prompt and the windows on the answer."""
    token_ids = decoding.token_ids.clone()
    token_ids[: len(prompt)] = prompt.token_ids
    length = len(token_ids)
    return Canvas(
        token_ids=token_ids,
        positions=torch.arange(length).float(),
        image_cells=torch.full((length,), -1),
        slots=tuple(windows(recipe, len(prompt), vocabulary)),
        mask_id=decoding.mask_id,
        speech=prompt.speech,
    )
