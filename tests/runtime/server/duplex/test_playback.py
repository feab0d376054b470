import pytest

from omnisdk.protocol import events
from omnisdk.protocol.response import Response
from runtime.server.duplex.playback import Playback
from runtime.server.duplex.said import PlaybackAck

SECOND = bytes(48_000)


def said(playback: Playback, number: int, seconds: int = 1) -> None:
    for _ in range(seconds):
        playback.told(
            events.ResponseOutputAudioDelta(
                response_id=f"resp_{number}", item_id=f"item_{number}", output_index=0, content_index=0, delta=SECOND
            )
        )


def ended(playback: Playback, number: int, status: str = "completed") -> None:
    response = Response(id=f"resp_{number}", status=status, output=[], output_modalities=["audio"])  # type: ignore[arg-type]
    playback.told(events.ResponseDone(response=response))


def cuts(playback: Playback) -> list[tuple[str, int]]:
    return [(cut.item_id, cut.audio_end_ms) for cut in playback.settle()]


@pytest.fixture
def playback() -> Playback:
    playback = Playback()
    playback.only_acknowledged = True
    return playback


def test_the_newest_counts_if_none_is_named(playback: Playback) -> None:
    for number in (1, 2):
        said(playback, number)
        ended(playback, number)
    playback.acknowledge(PlaybackAck(played_ms=600))
    playback.acknowledge(PlaybackAck(played_ms=700, committed_ms=300, item_id="item_1"))
    assert cuts(playback) == [("item_1", 300), ("item_2", 600)]


def test_nearly_all_is_all(playback: Playback) -> None:
    said(playback, 1, seconds=2)
    ended(playback, 1)
    playback.acknowledge(PlaybackAck(played_ms=1_950))
    assert cuts(playback) == []


def test_one_that_is_being_made_is_settled_once_it_has_ended(playback: Playback) -> None:
    said(playback, 1)
    playback.acknowledge(PlaybackAck(played_ms=200))
    assert cuts(playback) == []
    ended(playback, 1)
    assert cuts(playback) == [("item_1", 200)]


def test_what_is_settled_stays_so(playback: Playback) -> None:
    said(playback, 1)
    ended(playback, 1)
    assert cuts(playback) == [("item_1", 0)]
    playback.acknowledge(PlaybackAck(played_ms=500, response_id="resp_1"))
    assert cuts(playback) == []


def test_otherwise_only_one_that_was_interrupted_is_cut() -> None:
    playback = Playback()
    for number, status in ((1, "completed"), (2, "cancelled"), (3, "cancelled")):
        said(playback, number)
        ended(playback, number, status)
        if number < 3:
            playback.acknowledge(PlaybackAck(played_ms=500))
    assert cuts(playback) == [("item_2", 500)]
