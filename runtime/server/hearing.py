"""What the user said, as text: told by an answer that hears it on its way, or asked of the model for itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from omnisdk.protocol import events
from omnisdk.protocol.response import FailureCause
from omnisdk.protocol.session import SessionRules
from runtime.engine.engine import Engine
from runtime.engine.output import EngineOutput, Finished, SlotState
from runtime.engine.request import GenerationRequest, SpeechPart, Turn
from runtime.server.engine_bridge import EngineBridge
from runtime.server.failures import failure_of
from runtime.server.model_card import ModelCard
from runtime.server.outbox import Outbox, OutboxFullError

TRANSCRIBING = "speech_to_text"
LEAST_PROBABILITY = 1e-9  # its logarithm stands for none at all


@dataclass(frozen=True)
class Heard:
    """The user's speech that a transcript belongs to."""

    item_id: str
    content_index: int
    seconds: float


def tell_heard(heard: Heard, slot: SlotState, rules: SessionRules, outbox: Outbox) -> None:
    """A transcript that is complete: noted, and told. Raises OutboxFullError."""
    text = (slot.text or "").strip()
    rules.conversation.note_transcript(heard.item_id, heard.content_index, text)
    place: dict[str, Any] = {"item_id": heard.item_id, "content_index": heard.content_index}
    sure = logprobs(slot) if rules.logprobs_told else UNSET
    if text:
        outbox.put(events.ConversationItemInputAudioTranscriptionDelta(**place, delta=text, logprobs=sure))
    usage = events.SpeechDuration(seconds=heard.seconds)
    outbox.put(
        events.ConversationItemInputAudioTranscriptionCompleted(**place, transcript=text, usage=usage, logprobs=sure)
    )


def logprobs(slot: SlotState) -> list[events.LogProb]:
    """How sure each token of a text slot was when it was filled in."""
    told = [(slot.text or "")[span.start : span.end] for span in slot.spans]
    return [
        events.LogProb(
            token=token, bytes=list(token.encode()), logprob=math.log(max(span.confidence, LEAST_PROBABILITY))
        )
        for token, span in zip(told, slot.spans, strict=True)
    ]


class Hearing:
    """Writes down what was said where the session asks for transcription and no answer does it anyway.

    tenant: on whose account. on_overflow: told when the client reads too slowly.
    """

    def __init__(
        self,
        engine: Engine,
        model: ModelCard,
        rules: SessionRules,
        outbox: Outbox,
        new_id: Callable[[str], str],
        *,
        tenant: str,
        on_overflow: Callable[[], None],
    ) -> None:
        self._recipe, self._rules, self._outbox = model.recipes.get(TRANSCRIBING), rules, outbox
        self._new_id, self._tenant, self._on_overflow = new_id, tenant, on_overflow
        self._bridge = EngineBridge(engine)
        self._asked: dict[str, str] = {}  # the request, by item
        self._told: set[str] = set()

    def begin(self, item_id: str, speech: SpeechPart) -> None:
        """A turn was spoken."""
        if not self._rules.transcription_wanted or self._recipe is None:
            return
        heard = Heard(item_id, 0, len(speech.pcm) / speech.sample_rate_hz)
        request_id = self._asked[item_id] = self._new_id("transcription")
        turns = (Turn("user", (speech,)),)
        request = GenerationRequest(request_id, turns, self._recipe, partial_every=0, tenant=self._tenant)
        self._bridge.submit(request, lambda output: self._take(heard, output))

    def leave(self, item_id: str) -> bool:
        """Whether it is left to the answer that begins now to tell what it hears: not if it is told already."""
        request_id = self._asked.pop(item_id, None)
        if request_id is not None:
            self._bridge.abandon(request_id)
        return item_id not in self._told

    def forget(self, item_id: str) -> None:
        """The item is gone."""
        self.leave(item_id)
        self._told.discard(item_id)

    def close(self) -> None:
        self._bridge.close()

    def _take(self, heard: Heard, output: EngineOutput) -> None:
        """Called on the event loop, by the bridge."""
        if not isinstance(output, Finished) or self._asked.pop(heard.item_id, None) is None:
            return
        try:
            if output.status == "completed":
                self._told.add(heard.item_id)
                tell_heard(heard, output.slots[0], self._rules, self._outbox)
            elif output.status == "failed":
                self._outbox.put(_failed(heard, output))
        except OutboxFullError:
            self._on_overflow()


def _failed(heard: Heard, finished: Finished) -> events.ConversationItemInputAudioTranscriptionFailed:
    kind, code = failure_of(finished)
    cause = FailureCause(type=kind, code=code, message=finished.error)
    return events.ConversationItemInputAudioTranscriptionFailed(
        item_id=heard.item_id, content_index=heard.content_index, error=cause
    )
