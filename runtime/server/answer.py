"""One response: what the engine puts out, told in the order that clients rely on.

response.created → output_item.added → conversation.item.added → content_part.added → partials, transcription, text or
speech → content_part.done → conversation.item.done → output_item.done → response.done.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from omnisdk.protocol import events
from omnisdk.protocol.audio import PCM, Encoding
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.items import ImageRef, Item, ItemOmni, Message
from omnisdk.protocol.response import EarlyEnd, FailureCause, Response, ResponseOmni, StatusDetails
from omnisdk.protocol.session import SessionRules
from omnisdk.protocol.settings import OmniSettings
from runtime.codecs.image import encode_png
from runtime.diffusion.canvas import Modality
from runtime.engine.output import EngineOutput, Finished, SlotState, Started, StepOutput, Usage
from runtime.engine.request import ImagePart, Part, TextPart, Turn
from runtime.server.assets import AssetStore
from runtime.server.capabilities import details_of
from runtime.server.changing import told_changes
from runtime.server.content import Content, Spoken, Written
from runtime.server.failures import failure_of
from runtime.server.generation import was_cut
from runtime.server.hearing import Heard, tell_heard
from runtime.server.model_card import ModelCard
from runtime.server.outbox import Outbox
from runtime.server.partials import PNG, PartialStream, fits_a_frame
from runtime.server.places import Board, Readings
from runtime.server.task import REPLY, TRANSCRIPT
from runtime.server.usage import usage_of

CUT: EarlyEnd = "max_output_tokens"


@dataclass(frozen=True)
class AnswerPlan:
    """What is fixed when a response begins.

    outputs: what the answer holds. words: what a spoken answer says that was given its words.
    partials_told: whether the client takes omni.* events. heard: the speech of the turn that is answered.
    encoding, speed: of the sound that is sent. side: whether it stands outside of the conversation.
    begun_s: reading of the monotonic clock, from which its deadline counts.
    """

    response: Response
    item_id: str
    canvas_id: str
    omni: OmniSettings
    slot_names: tuple[str, ...]
    outputs: frozenset[Modality]
    words: str | None
    partials_told: bool
    heard: Heard | None
    encoding: Encoding = PCM
    speed: float = 1.0
    side: bool = False
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def deadline_ms(self) -> int | None:
        """What is left of it now: hearing what was said, or choosing a tool, may have taken some. 1 if nothing is."""
        wanted_ms = self.omni.deadline_ms
        assert wanted_ms is not UNSET
        return None if wanted_ms is None else max(1, wanted_ms - round((time.monotonic() - self.begun_s) * 1000))

    @property
    def speaks(self) -> bool:
        return "speech" in self.outputs

    @property
    def draws(self) -> bool:
        return "image" in self.outputs

    @property
    def early(self) -> bool:
        """Whether text is told as final while it forms. Who sees the canvas sees it there, and may still edit it."""
        return not self.partials_told

    def content(self, outbox: Outbox, note_spoken: Callable[[float], None]) -> Content | None:
        """The part of the answer that is read or heard, if it holds one."""
        place = {"response_id": self.response.id, "item_id": self.item_id, "output_index": 0, "content_index": 0}
        if self.speaks:
            slot = REPLY if REPLY in self.slot_names else None
            sound: dict[str, Any] = {"encoding": self.encoding, "speed": self.speed, "note_spoken": note_spoken}
            return Spoken(slot, self.words, place, outbox, self.early, **sound)
        # What was heard is the reply where the model only listens.
        slot = next((name for name in (REPLY, TRANSCRIPT) if name in self.slot_names), None)
        return Written(slot, place, outbox, self.early) if "text" in self.outputs and slot is not None else None


class Answer:
    """Takes the engine's outputs of one response, keeps the rules informed and fills the outbox."""

    def __init__(
        self,
        plan: AnswerPlan,
        rules: SessionRules,
        outbox: Outbox,
        assets: AssetStore,
        asset_url: Callable[[str], str],
        new_id: Callable[[str], str],
    ) -> None:
        self.plan = plan
        self.finalized = False  # whether the client asked for an early end
        self.cancelled = False  # whether its end was asked for
        self.interrupted = False  # whether the user spoke into it
        self.cut = False  # whether max_output_tokens ended what it says
        self.spent = Usage()  # on the way to it: hearing what was said, choosing a tool
        self.parts: tuple[Part, ...] = ()  # what was answered, for the turns to come
        self.asked: list[tuple[int, tuple[Turn, ...]]] = []  # what is answered, from which step on
        self._rules = rules
        self._outbox = outbox
        self._assets = assets
        self._asset_url = asset_url
        self._new_id = new_id
        self.slots: tuple[SlotState, ...] = ()  # as they were laid out; none before the answer has begun
        self._partials: PartialStream | None = None
        self._seed = 0
        self._started = False
        self._heard: str | None = None
        self._content = plan.content(outbox, partial(rules.conversation.note_spoken, plan.item_id))

    def begin(self) -> None:
        self._outbox.put(events.ResponseCreated(response=self.plan.response))

    def take(self, output: EngineOutput) -> None:
        """One output of the engine. Raises OutboxFullError."""
        match output:
            case Started():
                self._start(output)
            case StepOutput():
                self._step(output)
            case Finished():
                self._finish(output)

    # The beginning

    def _start(self, started: Started) -> None:
        self._started, self._seed, self.slots = True, started.seed, started.slots
        self._tell_added(self._opening_item())
        if self._content is not None:
            self._content.begin()
        if self.plan.partials_told:
            self._begin_partials(started)

    def _opening_item(self) -> Item:
        """Before anything is known of it."""
        return Message(role="assistant", content=[], id=self.plan.item_id, object="realtime.item", status="in_progress")

    def _tell_added(self, item: Item) -> None:
        self._outbox.put(events.ResponseOutputItemAdded(response_id=self._id, output_index=0, item=item))
        if not self.plan.side:
            placed = self._rules.conversation.place(item)
            self._outbox.put(events.ConversationItemAdded(item=placed.item, previous_item_id=placed.previous_item_id))

    def _begin_partials(self, started: Started) -> None:
        partials = self.plan.omni.partials
        assert partials is not UNSET
        if partials != "off":
            self._partials = PartialStream(self.plan.canvas_id, self._id, started.slots, partials)
        self._outbox.put(
            events.OmniCanvasCreated(
                canvas_id=self.plan.canvas_id,
                response_id=self._id,
                steps=started.steps,
                seed=started.seed,
                slots=[_layout(slot) for slot in started.slots],
            )
        )

    @property
    def told(self) -> dict[str, int]:
        """By slot, how many positions were told as final, from its beginning: they cannot be taken back."""
        lengths = {slot.name: len(slot.tokens) for slot in self.slots}
        heard = {TRANSCRIPT: lengths[TRANSCRIPT]} if self._heard is not None and TRANSCRIPT in lengths else {}
        return heard | (self._content.told if self._content is not None else {})

    def board(self, model: ModelCard) -> Board:
        """What the client can point at now."""
        readings = self._partials.readings if self._partials is not None else Readings()
        return Board(self.slots, self.told, model.picture, readings, model.speech_code_ms)

    # While it is made

    def forget_partials(self) -> None:
        """What was sent of them may be lost."""
        if self._partials is not None:
            self._partials.forget()

    def _step(self, output: StepOutput) -> None:
        if self._partials is not None:
            partials = self._partials
            self._outbox.put_partial(self._id, lambda: partials.render(output))
        self._settle(output.slots)

    def _settle(self, slots: Sequence[SlotState]) -> None:
        """Tell what is complete and was not told yet."""
        for slot in slots:
            if slot.name == TRANSCRIPT and slot.complete and self._heard is None:
                self.hear(slot)
        if self._content is not None:
            self._content.take(slots)

    def hear(self, slot: SlotState) -> None:
        """What the user said is known. Raises OutboxFullError."""
        self._heard = (slot.text or "").strip()
        if self.plan.heard is not None:
            tell_heard(self.plan.heard, slot, self._rules, self._outbox)

    def heard(self, before: "Answer") -> None:
        """What the user said was told already, by an answer that stood in this one's place."""
        self._heard, self.finalized = before._heard, before.finalized

    @property
    def words_heard(self) -> str | None:
        """What the user said, as far as this answer has heard it."""
        return self._heard

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What is answered now."""
        return self.asked[-1][1]

    def asked_until(self, at_step: int | None) -> list[tuple[int, tuple[Turn, ...]]]:
        """What was answered up to that step; None for all of it."""
        return [(step, turns) for step, turns in self.asked if at_step is None or step < at_step or not step]

    # The end

    def _finish(self, finished: Finished) -> None:
        whole = finished.status in ("completed", "incomplete")
        if finished.status == "completed" and was_cut(finished.slots, self.plan.response.max_output_tokens):
            self.cut, finished = True, replace(finished, status="incomplete")
        if whole:
            self._tell_last_partial(finished)
            self._settle(finished.slots)
        if self._started and self._content is not None:
            self._content.end()
        pictures = _pictures(finished) if whole and self.plan.draws else []
        refs = [self._tell_picture(picture) for picture in pictures]
        self._keep(pictures)
        output = [self._closing_item(finished, refs)] if self._started else []
        for item in output:
            self._tell_settled(item)
        self._rules.responses.end(self._id)
        self._tell_end(finished, output, refs)

    def _tell_last_partial(self, finished: Finished) -> None:
        if self._partials is not None:
            partials = self._partials
            self._outbox.put_rendered(lambda: partials.render_end(finished))

    def _tell_picture(self, picture: NDArray[np.uint8]) -> ImageRef:
        """A picture's address now; its bytes are made when it is sent, and are there before any event names them."""
        asset_id = self._new_id("img")
        height, width = picture.shape[:2]
        ref = ImageRef(id=asset_id, url=self._asset_url(asset_id), mime=PNG, width=width, height=height)

        async def render() -> Sequence[ServerEvent]:
            png = await asyncio.to_thread(encode_png, picture)
            self._assets.put(asset_id, png)
            return [self._image_done(ref, png)] if self.plan.partials_told else []

        self._outbox.put_rendered(render)
        return ref

    def _image_done(self, ref: ImageRef, png: bytes) -> ServerEvent:
        return events.OmniImageDone(
            response_id=self._id,
            item_id=self.plan.item_id,
            output_index=0,
            image=ref,
            b64=png if fits_a_frame(png) else None,
        )

    def _keep(self, pictures: Sequence[NDArray[np.uint8]]) -> None:
        said = (TextPart(self._content.words),) if self._content is not None and self._content.words else ()
        self.parts = (*said, *(ImagePart(picture) for picture in pictures))

    def _closing_item(self, finished: Finished, refs: list[ImageRef]) -> Item:
        """As it ended. What has to be told of it before is told here."""
        return Message(
            role="assistant",
            id=self.plan.item_id,
            object="realtime.item",
            status="completed" if finished.status == "completed" else "incomplete",
            content=[self._content.part] if self._content is not None else [],
            omni=ItemOmni(images=refs) if refs else None,
        )

    def _tell_settled(self, item: Item) -> None:
        if not self.plan.side:
            placed = self._rules.conversation.settle(item)
            self._outbox.put(events.ConversationItemDone(item=item, previous_item_id=placed.previous_item_id))
        self._outbox.put(events.ResponseOutputItemDone(response_id=self._id, output_index=0, item=item))

    def _tell_end(self, finished: Finished, output: list[Item], refs: list[ImageRef]) -> None:
        if self.plan.partials_told and self._started:
            self._outbox.put(
                events.OmniCanvasDone(
                    canvas_id=self.plan.canvas_id,
                    response_id=self._id,
                    seed=self._seed if finished.record is None else finished.record.seed,
                    status=finished.status,
                    steps=finished.steps,
                    unmasked_per_step=list(finished.unmasked_per_step),
                    recipe=None if finished.record is None else details_of(finished.record.recipe),
                    changes=[] if finished.record is None else told_changes(finished.record),
                )
            )
        response = msgspec.structs.replace(
            self.plan.response,
            status=finished.status,
            status_details=self._details(finished),
            output=output,
            usage=usage_of(self.spent + finished.usage),
            omni=self._omni(finished, refs),
        )
        self._outbox.put(events.ResponseDone(response=response))

    def _omni(self, finished: Finished, refs: list[ImageRef]) -> ResponseOmni | msgspec.UnsetType:
        if finished.status == "incomplete":
            early: EarlyEnd = "finalized" if self.finalized else "deadline"
            return ResponseOmni(reason=CUT if self.cut else early, images=refs)
        return ResponseOmni(images=refs) if refs else UNSET

    def _details(self, finished: Finished) -> StatusDetails:
        if finished.status == "failed":
            return StatusDetails(type="failed", error=_cause(finished))
        reason = None
        if finished.status == "cancelled":
            reason = "turn_detected" if self.interrupted else "client_cancelled"
        return StatusDetails(type=finished.status, reason=CUT if self.cut else reason)

    @property
    def _id(self) -> str:
        return self.plan.response.id


def _pictures(finished: Finished) -> list[NDArray[np.uint8]]:
    return [slot.image for slot in finished.slots if slot.image is not None]


def _layout(slot: SlotState) -> events.SlotLayout:
    rows, columns = slot.grid or (None, None)
    return events.SlotLayout(
        name=slot.name, modality=slot.modality, length=len(slot.tokens), columns=columns, rows=rows
    )


def _cause(finished: Finished) -> FailureCause:
    kind, code = failure_of(finished)
    return FailureCause(type=kind, code=code, message=finished.error or "the model failed at this answer")
