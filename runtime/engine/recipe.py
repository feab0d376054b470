"""Recipes: the numbers of a task. What differs between tasks is data here, never a branch in the sampler."""

from dataclasses import dataclass
from typing import Literal

from runtime.diffusion.canvas import Modality

Schedule = Literal["linear", "cosine"]
ConfidenceRule = Literal["probability", "margin", "entropy"]


@dataclass(frozen=True)
class SlotRecipe:
    """How one slot is laid out and filled.

    length: positions. steps: denoise steps for the slot.
    schedule: share still masked over progress (linear: 1 - t; cosine: cos(pi t / 2)).
    confidence: what ranks positions; confidence_noise: Gumbel noise on the rank, fading to 0 with progress.
    temperature: 0 takes the best token, more samples. top_k 0 and top_p 1 are off.
    guidance_scale: 0 is off; scores = without + (1 + scale) * (with - without the prompt).
    position_stride: None: a token takes the next position in line; a number: the slot lies along the speech rows of
        the prompt, this many rotary positions a token.
    """

    name: str
    modality: Modality
    length: int
    steps: int
    schedule: Schedule = "linear"
    confidence: ConfidenceRule = "probability"
    confidence_noise: float = 0.0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repeat_penalty: float = 1.0
    position_penalty: float = 1.0
    guidance_scale: float = 0.0
    position_stride: float | None = None


@dataclass(frozen=True)
class Recipe:
    """A task: its slots in the order they are finished."""

    name: str
    slots: tuple[SlotRecipe, ...]

    @property
    def steps(self) -> int:
        return sum(slot.steps for slot in self.slots)


TEXT_LENGTH = 16  # tokens of a text slot of the embedded model
FRAMES_PER_TOKEN = 5.0  # 60 ms frames a spoken token lasts on average, the stride of a transcript along its speech


TRANSCRIPT = SlotRecipe("transcript", "text", TEXT_LENGTH, steps=4, position_stride=FRAMES_PER_TOKEN)
PICTURE = SlotRecipe(
    "image", "image", length=100, steps=12, schedule="cosine", confidence_noise=2.0, temperature=1.0, guidance_scale=1.0
)
REPLY = SlotRecipe("text", "text", TEXT_LENGTH, steps=4)

# What the embedded model was trained to do.
EMBEDDED_RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("text_to_image", (PICTURE, REPLY)),
        Recipe("speech_to_image", (TRANSCRIPT, PICTURE, REPLY)),
        Recipe("speech_to_text", (TRANSCRIPT,)),
        Recipe("image_to_text", (REPLY,)),
        Recipe("speech_and_image_to_text", (TRANSCRIPT, REPLY)),
    )
}
