"""Recipes: the numbers of a task. What differs between tasks is data here, never a branch in the sampler."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from runtime.diffusion.canvas import Modality
from runtime.diffusion.commit import CommitRule

Schedule = Literal["linear", "cosine"]
ConfidenceRule = Literal["probability", "margin", "entropy"]
Fidelity = Literal["corrected", "reference"]
PROMPT = "prompt"


@dataclass(frozen=True)
class Adaptive:
    """A length that follows the conversation: `ratio` positions a token of `of`, at least 1.

    of: "prompt", all that stands before the answer, media with it; "text", what the user wrote.
    """

    of: Literal["prompt", "text"]
    ratio: float


@dataclass(frozen=True)
class Recorded:
    """Where the words of a given recording lie, in codes: all in [first, stop), those said anew in [again, until).

    What is said anew is taken to be whole words.
    """

    first: float
    stop: float
    again: float
    until: float


@dataclass(frozen=True)
class SlotRecipe:
    """How one slot is laid out and filled.

    length: positions. steps: denoise steps for the slot.
    adaptive: where given, the length follows the conversation, `length` is the most it may be, and the steps keep
        their share of it.
    schedule: share still masked over progress (linear: 1 - t; cosine: cos(pi t / 2)).
    confidence: what ranks positions; confidence_noise: Gumbel noise on the rank, fading to 0 with progress.
    prior_weight: how much of what all open positions have in common is taken out before they are ranked; 0 is off.
    commit: what a step fills beyond what the schedule asks for, up to `commit_bound` (`runtime.diffusion.commit`).
    refresh_every: what the prompt and settled positions tell the others is worked out anew every so many steps, and
        taken as it was in between; 1 is off (`runtime.engine.reuse`).
    revise_below: what was filled with less confidence is opened again, once, while there is time; 0 is off.
    temperature: 0 takes the best token, more samples. top_k 0 and top_p 1 are off.
    repeat_penalty: scores of tokens that stand in the slot already are divided by it (multiplied where negative).
    position_penalty: the same for late masked positions, growing up to this factor (from the 100th on).
    guidance_scale: 0 is off; scores = without + (1 + scale) * (with - without the prompt).
    beside: filled side by side with the slot before it, not after it; each step sees what the others know.
    lead: text that stands before the slot, given. choices: where there are any, the slot says one of them: they are
        weighed against each other in one step, and its length follows from them.
    unsure: said instead of an answer that is not worth `unsure_margin` nats a token more, by the first step of a text
        slot nothing of which is given; "" is off.
    hypotheses: so many answers of a text slot are tried side by side where something can be held against them, and the
        one is taken that best explains what was given (`runtime.engine.search`); 1 is off, as it is for a slot that is
        guided or sampled. It takes the steps it needs.
    says: whose words a speech slot says and along which it lies: PROMPT, what the user wrote, or the name of an earlier
        text slot. None: it says what it likes.
    recorded: of a slot that keeps a part of a given recording, where its words lie in it.
    position_stride: None: a token takes the next position in line; a number: the slot lies along the speech rows of
        the prompt, this many rotary positions a token.
    stands_for_speech: once it is known what was said, the slots behind it that are not spoken are filled as if that
        had been written (`runtime.engine.hearing`).
    """

    name: str
    modality: Modality
    length: int
    steps: int
    adaptive: Adaptive | None = None
    schedule: Schedule = "linear"
    confidence: ConfidenceRule = "probability"
    confidence_noise: float = 0.0
    prior_weight: float = 0.0
    commit: CommitRule = "schedule"
    commit_bound: float = 1.0
    revise_below: float = 0.0
    refresh_every: int = 1
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repeat_penalty: float = 1.0
    position_penalty: float = 1.0
    guidance_scale: float = 0.0
    beside: bool = False
    lead: str = ""
    choices: tuple[str, ...] = ()
    unsure: str = ""
    unsure_margin: float = 0.0
    hypotheses: int = 1
    says: str | None = None
    recorded: Recorded | None = None
    position_stride: float | None = None
    stands_for_speech: bool = False

    def settled(self, counts: Mapping[str, int]) -> "SlotRecipe":
        """With the length it gets for so many tokens of each kind."""
        if self.adaptive is None:
            return self
        length = max(1, min(self.length, int(self.adaptive.ratio * counts[self.adaptive.of])))
        return replace(self, adaptive=None, length=length, steps=max(1, length * self.steps // self.length))


@dataclass(frozen=True)
class Recipe:
    """A task: its slots in the order they are finished.

    task: the paper's name for it. system, instruction: the words with which the model was taught it, a system line
    and a line before the request. tail: text that stands behind the last slot, given.
    """

    name: str
    slots: tuple[SlotRecipe, ...]
    task: str = ""
    tail: str = ""
    system: str = ""
    instruction: str = ""

    @property
    def steps(self) -> int:
        return sum(slot.steps for slot in self.slots)


def by_name(*recipes: Recipe) -> dict[str, Recipe]:
    return {recipe.name: recipe for recipe in recipes}


TEXT_LENGTH = 16  # tokens of a text slot of the embedded model
FRAMES_PER_TOKEN = 5.0  # 60 ms frames a spoken token lasts on average, the stride of a transcript along its speech


# Steps and commit rules are those that `omni eval presets` found to lose nothing: docs/presets.png.
TRANSCRIPT = SlotRecipe(
    "transcript", "text", TEXT_LENGTH, steps=4, commit="threshold", commit_bound=0.5,
    position_stride=FRAMES_PER_TOKEN, stands_for_speech=True, hypotheses=20,
)  # fmt: skip
PICTURE = SlotRecipe(
    "image", "image", length=100, steps=8, schedule="cosine", confidence_noise=2.0, temperature=1.0, guidance_scale=1.0
)
REPLY = SlotRecipe("text", "text", TEXT_LENGTH, steps=4, commit="threshold", commit_bound=0.5, hypotheses=32)

# A spoken answer says what the text slot says, which is written first; 4.4 s are the longest that text can take.
# Of fewer steps hardly less is understood; in twelve one can watch what is said, and change it while it forms.
SPEECH = SlotRecipe("speech", "speech", length=250, steps=12, says=PROMPT)
SPOKEN = replace(SPEECH, length=110, says="text")

# What the embedded model was trained to do.
EMBEDDED_RECIPES = by_name(
    Recipe("text_to_image", (PICTURE, REPLY)),
    Recipe("speech_to_image", (TRANSCRIPT, PICTURE, REPLY)),
    Recipe("speech_to_text", (TRANSCRIPT,)),
    Recipe("image_to_text", (REPLY,)),
    Recipe("speech_and_image_to_text", (TRANSCRIPT, REPLY)),
)

# What it does besides since it has a voice: it talks a little, and changes the last picture.
SPEAKING_RECIPES = EMBEDDED_RECIPES | by_name(
    Recipe("text_to_text", (REPLY,)),
    Recipe("text_and_image_to_image", (PICTURE, REPLY)),
    Recipe("text_to_speech", (SPEECH,)),
    Recipe("text_to_text_and_speech", (REPLY, SPOKEN)),
    Recipe("text_to_image_and_speech", (PICTURE, REPLY, SPOKEN)),
    Recipe("speech_to_image_and_speech", (TRANSCRIPT, PICTURE, REPLY, SPOKEN)),
    Recipe("image_to_speech", (REPLY, SPOKEN)),
    Recipe("speech_and_image_to_speech", (TRANSCRIPT, REPLY, SPOKEN)),
)

# The published model's tasks with the numbers of its paper and scripts (there top_k is a default nobody set).
PUBLISHED_TEXT = SlotRecipe("text", "text", 64, steps=64, confidence="entropy", top_k=50, top_p=0.9)
PUBLISHED_SPEECH = SlotRecipe(
    "speech", "speech", 102, steps=102, confidence="entropy", top_k=50, top_p=0.9, repeat_penalty=1.2
)
PUBLISHED_PICTURE = SlotRecipe(
    "image", "image", 256, steps=256, confidence="entropy", top_k=50, top_p=0.9, repeat_penalty=1.2,
    position_penalty=2.0,
)  # fmt: skip
# Adaptive token-length assignment: half as many steps as tokens, and so many tokens a token asked.
SPOKEN_TEXT = replace(PUBLISHED_SPEECH, length=1024, steps=512, adaptive=Adaptive("text", 3.5))
HEARD_TEXT = replace(PUBLISHED_TEXT, name="transcript", length=512, steps=256, adaptive=Adaptive("prompt", 0.2))
# Special-token pre-infilling: speech begins after a fifth of the answer, the text before it is what is said.
LEAD_TEXT = replace(PUBLISHED_TEXT, length=25, steps=25, repeat_penalty=1.2)

PUBLISHED_RECIPES = by_name(
    Recipe("speech_to_text", (HEARD_TEXT,), "ASR", instruction="Convert the speech to text."),
    Recipe("text_to_speech", (SPOKEN_TEXT,), "TTS", instruction="Convert the text to speech."),
    Recipe(
        "text_to_image",
        (PUBLISHED_PICTURE,),
        "T2I",
        instruction="Generate an image based on the provided text description.",
    ),
    Recipe(
        "speech_to_image",
        (replace(PUBLISHED_PICTURE, repeat_penalty=1.5, guidance_scale=2.0),),
        "S2I",
        system="Please generate an image based on the input audio.",
    ),
    Recipe("image_to_text", (PUBLISHED_TEXT,), "VQA"),
    Recipe("captioning", (PUBLISHED_TEXT,), "captioning", instruction="Describe this image."),
    Recipe("speech_to_speech", (LEAD_TEXT, PUBLISHED_SPEECH), "SQA", system="Please response the input audio."),
    Recipe(
        "speech_and_image_to_speech",
        (LEAD_TEXT, PUBLISHED_SPEECH),
        "SVQA",
        system="Please response the input audio based on the given image.",
    ),
)
