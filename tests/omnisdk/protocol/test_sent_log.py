from omnisdk.protocol import events
from omnisdk.protocol.events import ClientEvent
from omnisdk.protocol.limits import BYTES_PER_SECOND
from omnisdk.protocol.sent_log import SentLog


def append(number: int) -> ClientEvent:
    return events.InputAudioBufferAppend(event_id=f"client_event_{number}", audio=b"")


def create(number: int) -> ClientEvent:
    return events.ResponseCreate(event_id=f"client_event_{number}")


def log_of(*sent: ClientEvent) -> SentLog:
    log = SentLog()
    for event in sent:
        log.note(event)
    return log


def ids(sent: object) -> list[int]:
    return [int(str(event.event_id).rpartition("_")[2]) for event in sent]  # type: ignore[attr-defined]


def test_an_answer_tells_of_all_before() -> None:
    log = log_of(create(1), create(2), create(3))
    log.answered("client_event_2")
    assert ids(log) == [3]
    assert "client_event_3" in log
    assert "client_event_2" not in log


def test_audio_is_kept_until_its_turn_is_over() -> None:
    log = log_of(append(1), create(2), append(3))
    log.answered("client_event_2")
    assert ids(log) == [1, 3]
    log.note(events.InputAudioBufferCommit(event_id="client_event_4"))
    log.note(append(5))
    log.answered("client_event_4")
    assert ids(log) == [5]


def test_of_sound_without_end_the_last_minute_is_kept() -> None:
    log = SentLog()
    for second in range(100):
        pcm = bytes(BYTES_PER_SECOND)
        log.note(events.InputAudioBufferAppend(event_id=f"client_event_{second}", audio=pcm))
    assert ids(log) == list(range(40, 100))


def test_audio_that_is_not_to_be_sent_again() -> None:
    log = log_of(append(1), create(2), append(3))
    log.forget_audio()
    assert ids(log) == [2]


def test_a_cleared_buffer_ends_the_turn() -> None:
    log = log_of(append(1), events.InputAudioBufferClear(event_id="client_event_2"), append(3))
    log.cleared()
    assert ids(log) == [3]
    log.cleared()
    assert ids(log) == [3]


def test_what_the_server_did_not_take() -> None:
    log = log_of(append(1), append(2), create(10))
    assert ids(log.after("client_event_1")) == [2, 10]
    assert ids(log.after("client_event_7")) == [10]  # one that was let go
    assert ids(log.after(None)) == [1, 2, 10]


def test_one_that_is_noted_again_comes_in_its_place() -> None:
    log = log_of(create(3), create(4))
    log.note(create(1))
    assert ids(log) == [1, 3, 4]
