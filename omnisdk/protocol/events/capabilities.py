"""What the model can do, for clients that opted in."""

from __future__ import annotations

from msgspec import Struct, field

from omnisdk.protocol.events.base import FromServer


class ImageShape(Struct, kw_only=True):
    """A picture's pixels, and its cells: the token grid."""

    width: int
    height: int
    columns: int
    rows: int


class SpeechInput(Struct, kw_only=True):
    """sample_rate_hz: what the model hears at; the wire is always 24 kHz."""

    sample_rate_hz: int
    max_seconds: float


class CapabilityLimits(Struct, kw_only=True):
    max_image_bytes: int
    max_image_pixels: int
    max_frame_bytes: int
    max_steps: int


class AdaptiveLength(Struct, kw_only=True):
    """`ratio` positions a token of `of`: "prompt", all that stands before the answer; "text", what the user wrote."""

    of: str
    ratio: float


class SlotDetails(Struct, kw_only=True):
    """A slot with its numbers, as SlotSettings names them. adaptive: where given, `length` is the most it may be."""

    name: str
    modality: str
    length: int
    steps: int
    schedule: str
    confidence: str
    confidence_noise: float
    prior_weight: float
    commit: str
    commit_bound: float
    revise_below: float
    refresh_every: int
    temperature: float
    top_k: int
    top_p: float
    repeat_penalty: float
    position_penalty: float
    hypotheses: int
    guidance_scale: float
    adaptive: AdaptiveLength | None = None


class RecipeDetails(Struct, kw_only=True):
    """What the model can do by one name.

    reads: what the turn must hold. slots: in the order they are finished. task: the paper's name for it.
    system, instruction: the words with which the model was taught it, a system line and a line before the request.
    """

    name: str
    reads: list[str]
    slots: list[SlotDetails]
    task: str = ""
    system: str = ""
    instruction: str = ""


class OmniSessionCapabilities(FromServer, tag="omni.session.capabilities"):
    """What the model can do and how much it takes.

    recipes: by name, for omni.recipe; recipe_details: the same with all their numbers.
    """

    version: str
    modalities_in: list[str]
    modalities_out: list[str]
    recipes: list[str]
    limits: CapabilityLimits
    image: ImageShape | None = None
    speech_in: SpeechInput | None = None
    recipe_details: list[RecipeDetails] = field(default_factory=list)
