"""An answer as it forms, and how it is changed meanwhile, for clients that opted in."""

from __future__ import annotations

from msgspec import Struct, field

from omnisdk.protocol.changes import AtStep, CanvasChange, CanvasEdit, Seed, Steer
from omnisdk.protocol.events.base import FromClient, FromServer
from omnisdk.protocol.events.capabilities import RecipeDetails
from omnisdk.protocol.items import ImageRef
from omnisdk.protocol.response import ResponseStatus


class OmniResponseFinalize(FromClient, tag="omni.response.finalize"):
    """Finish now with the best so far."""

    response_id: str


class OmniCanvasEdit(FromClient, tag="omni.canvas.edit"):
    """Change the answer that is being made, at its next step; all edits are made or none."""

    canvas_id: str
    edits: list[CanvasEdit]


class OmniResponseTune(FromClient, tag="omni.response.tune"):
    """Change how the rest of the answer is made. steps_left: for all that is open. temperature: of every slot."""

    response_id: str
    steps_left: int | None = None
    temperature: float | None = None


class OmniCanvasSteer(FromClient, tag="omni.canvas.steer"):
    """Another request for the answer that is being made, from its next step on; answered by omni.canvas.steered."""

    canvas_id: str
    steer: Steer


class OmniCanvasFork(FromClient, tag="omni.canvas.fork"):
    """Go on twice: a second response, outside of the conversation, with another seed.

    at_step: from what was known after so many steps; None for now. One that is over can be forked at a step.
    """

    canvas_id: str
    seed: Seed | None = None
    at_step: AtStep | None = None
    metadata: dict[str, str] | None = None


class SlotLayout(Struct, kw_only=True, omit_defaults=True):
    name: str
    modality: str
    length: int
    columns: int | None = None
    rows: int | None = None


class OmniCanvasCreated(FromServer, tag="omni.canvas.created"):
    """The canvas of a response is laid out, all of it masked but what was given."""

    canvas_id: str
    response_id: str
    steps: int
    seed: int
    slots: list[SlotLayout]


class SlotChange(Struct, kw_only=True):
    """updates: (position in the slot, token id, confidence) of what was filled; remasked: positions opened again."""

    name: str
    updates: list[tuple[int, int, float]]
    remasked: list[int]


class OmniCanvasDelta(FromServer, tag="omni.canvas.delta"):
    """What changed on the canvas since the delta sent before."""

    canvas_id: str
    response_id: str
    step: int
    steps: int
    unmasked_ratio: float
    slots: list[SlotChange]


class Span(Struct, kw_only=True):
    """Characters [start, end) of a text."""

    start: int
    end: int
    masked: bool
    confidence: float


class OmniTextPartial(FromServer, tag="omni.text.partial"):
    """A text slot as far as it is known. A snapshot, not an append."""

    response_id: str
    slot: str
    text: str
    spans: list[Span]


class OmniImagePartial(FromServer, tag="omni.image.partial"):
    """A picture as far as it is known. mask, confidence: one for each cell, row by row; 1 is still masked."""

    response_id: str
    slot: str
    step: int
    steps: int
    partial_image_index: int
    width: int
    height: int
    mime: str
    partial_image_b64: bytes
    rows: int
    columns: int
    mask: list[int]
    confidence: list[float]


class OmniProgress(FromServer, tag="omni.progress"):
    """The last event of a partial. slots: the unmasked share of each slot by name."""

    response_id: str
    step: int
    steps: int
    unmasked_ratio: float
    eta_ms: int
    slots: dict[str, float] = field(default_factory=dict)


class OmniImageDone(FromServer, tag="omni.image.done"):
    """A finished picture. b64: its bytes, unless they would make the frame too large; they are at image.url too."""

    response_id: str
    item_id: str
    output_index: int
    image: ImageRef
    b64: bytes | None = None


class OmniCanvasEdited(FromServer, tag="omni.canvas.edited"):
    """The edits were made, after this many steps."""

    canvas_id: str
    response_id: str
    applied_at_step: int


class OmniCanvasSteered(FromServer, tag="omni.canvas.steered"):
    """The other request holds after this many steps. What it opens comes as `remasked` of the next delta."""

    canvas_id: str
    response_id: str
    applied_at_step: int


class OmniResponseTuned(FromServer, tag="omni.response.tuned"):
    """The rest of the answer is made as asked, after this many steps."""

    response_id: str
    applied_at_step: int


class OmniCanvasDone(FromServer, tag="omni.canvas.done"):
    """The canvas is as it stays. unmasked_per_step: fewer than none where a step opened more than it filled.

    seed, recipe, changes: with the same input they make the same tokens again, as omni.seed, omni.recipe with the
    numbers in omni.generation, and omni.changes of another response.
    """

    canvas_id: str
    response_id: str
    seed: int
    status: ResponseStatus
    steps: int
    unmasked_per_step: list[int]
    recipe: RecipeDetails | None = None
    changes: list[CanvasChange] = field(default_factory=list)
