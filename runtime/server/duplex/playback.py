"""How much was heard of the answers that were spoken, by what the client acknowledges."""

from collections.abc import Iterator
from dataclasses import dataclass

from omnisdk.protocol import events
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.limits import BYTES_PER_SAMPLE, WIRE_SAMPLE_RATE_HZ
from runtime.server.duplex.said import PlaybackAck

BYTES_PER_MS = BYTES_PER_SAMPLE * WIRE_SAMPLE_RATE_HZ / 1000
TAIL_MS = 100  # who has heard all but so much has heard it all


@dataclass
class SpokenAnswer:
    """status: of its response, once that has ended. heard_ms: None if nothing was acknowledged."""

    item_id: str
    response_id: str
    sent_ms: float = 0.0
    heard_ms: float | None = None
    status: str = ""


class Playback:
    """only_acknowledged: whether an answer counts as heard as far as it was acknowledged. Else one that came to its
    end counts as a whole, and one that was interrupted as far as it was acknowledged, if it was.
    """

    def __init__(self) -> None:
        self.only_acknowledged = False
        self._spoken: list[SpokenAnswer] = []

    def told(self, event: ServerEvent) -> None:
        match event:
            case events.ResponseOutputAudioDelta():
                self._answer_of(event).sent_ms += len(event.delta) / BYTES_PER_MS
            case events.ResponseDone():
                for spoken in self._spoken:
                    if spoken.response_id == event.response.id:
                        spoken.status = event.response.status

    def acknowledge(self, ack: PlaybackAck) -> None:
        """Of an answer that is settled, or not spoken, nothing follows from it: acknowledgements may come late."""
        if ack.response_id is not None:  # vLLM-Omni calls its items after their responses
            named = [spoken for spoken in self._spoken if spoken.response_id == ack.response_id]
        else:
            named = [spoken for spoken in self._spoken if ack.item_id in (None, spoken.item_id)]
        if named:
            named[-1].heard_ms = ack.played_ms if ack.committed_ms is None else ack.committed_ms

    def settle(self) -> Iterator[events.ConversationItemTruncate]:
        """The next turn is taken: answers that have ended are cut to what was heard of them."""
        ended = [spoken for spoken in self._spoken if spoken.status]
        self._spoken = [spoken for spoken in self._spoken if not spoken.status]
        for spoken in ended:
            heard_ms = self._heard_ms(spoken)
            if heard_ms + TAIL_MS < spoken.sent_ms:
                yield events.ConversationItemTruncate(
                    item_id=spoken.item_id, content_index=0, audio_end_ms=int(heard_ms)
                )

    def _heard_ms(self, spoken: SpokenAnswer) -> float:
        if self.only_acknowledged:
            return spoken.heard_ms or 0.0
        whole = spoken.status == "completed" or spoken.heard_ms is None
        return spoken.sent_ms if whole or spoken.heard_ms is None else spoken.heard_ms

    def _answer_of(self, delta: events.ResponseOutputAudioDelta) -> SpokenAnswer:
        for spoken in self._spoken:
            if spoken.item_id == delta.item_id:
                return spoken
        self._spoken.append(SpokenAnswer(delta.item_id, delta.response_id))
        return self._spoken[-1]
