from omnisdk.protocol import events
from omnisdk.protocol.response import Response, StatusDetails
from runtime.server.turn_times import TurnTimes


def seen(*sent: tuple[float, events.ServerEvent]) -> tuple[list[float], list[float]]:
    first_event: list[float] = []
    silence: list[float] = []
    times = TurnTimes(first_event.append, silence.append)
    for now, event in sent:
        times.sent(event, now)
    return first_event, silence


def response(name: str, reason: str | None = None) -> Response:
    details = StatusDetails(type="cancelled", reason=reason)
    return Response(id=name, status="cancelled", output=[], output_modalities=["text"], status_details=details)


STARTED = events.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id="i")
STOPPED = events.InputAudioBufferSpeechStopped(audio_end_ms=500, item_id="i")
COMMITTED = events.InputAudioBufferCommitted(item_id="i", previous_item_id=None)
CREATED = events.ResponseCreated(response=response("r"))
DELTA = events.ResponseOutputTextDelta(response_id="r", item_id="a", output_index=0, content_index=0, delta="x")


def test_from_the_end_of_speech_to_the_first_that_is_shown() -> None:
    assert seen((1, STOPPED), (2, COMMITTED), (3, CREATED), (5, DELTA), (6, DELTA)) == ([4], [])


def test_a_turn_that_the_client_commits() -> None:
    assert seen((2, COMMITTED), (3, CREATED), (5, DELTA)) == ([3], [])


def test_a_turn_that_is_written_is_none() -> None:
    assert seen((3, CREATED), (5, DELTA)) == ([], [])


def test_from_speech_into_an_answer_to_its_end() -> None:
    done = events.ResponseDone(response=response("r", "turn_detected"))
    assert seen((1, CREATED), (2, DELTA), (3, STARTED), (3.5, done)) == ([], [0.5])


def test_speech_after_an_answer_interrupts_nothing() -> None:
    done = events.ResponseDone(response=response("r"))
    later = events.ResponseDone(response=response("s", "turn_detected"))
    assert seen((1, CREATED), (2, done), (3, STARTED), (4, later)) == ([], [])
