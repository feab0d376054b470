"""How long a session's user waits, seen from the events that are sent: for the first of an answer, and for silence."""

from collections.abc import Callable

from omnisdk.protocol import events
from omnisdk.protocol.events import ServerEvent

Observe = Callable[[float], None]
TURN_DETECTED = "turn_detected"
ENDS = (events.InputAudioBufferSpeechStopped, events.InputAudioBufferCommitted)
# What a user sees or hears of an answer, final or not.
SHOWN = (
    events.ResponseOutputTextDelta,
    events.ResponseOutputAudioTranscriptDelta,
    events.ResponseOutputAudioDelta,
    events.ResponseFunctionCallArgumentsDelta,
    events.OmniCanvasDelta,
    events.OmniTextPartial,
    events.OmniImagePartial,
    events.OmniImageDone,
)


class TurnTimes:
    """first_event: told the seconds from the end of a spoken turn to the first that is shown of its answer.

    silence: told the seconds from when the user began to speak into an answer to the end of that answer.
    """

    def __init__(self, first_event: Observe, silence: Observe) -> None:
        self._first_event, self._silence = first_event, silence
        self._ended_at: float | None = None
        self._spoken_into_at: float | None = None
        self._active: set[str] = set()

    def sent(self, event: ServerEvent, now: float) -> None:
        """now: in seconds."""
        match event:
            case events.InputAudioBufferSpeechStarted() if self._active:
                self._spoken_into_at = now
            case events.ResponseCreated():
                self._active.add(event.response.id)
            case events.ResponseDone():
                self._end(event, now)
            case _ if isinstance(event, ENDS):
                self._ended_at = now if self._ended_at is None else self._ended_at
            case _ if isinstance(event, SHOWN) and self._ended_at is not None:
                self._first_event(now - self._ended_at)
                self._ended_at = None

    def _end(self, event: events.ResponseDone, now: float) -> None:
        self._active.discard(event.response.id)
        details = event.response.status_details
        interrupted = details is not None and details.reason == TURN_DETECTED
        if interrupted and self._spoken_into_at is not None:
            self._silence(now - self._spoken_into_at)
        self._spoken_into_at = None if interrupted else self._spoken_into_at
