import pytest

from omnisdk.protocol import events
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.journal import Journal, JournalGapError


def sent(journal: Journal, count: int, num_bytes: int = 10) -> None:
    for number in range(count):
        event = events.ConversationItemDeleted(item_id=str(number))
        assert journal.number(event)
        journal.keep(event, num_bytes)


def numbers(journal: Journal, after: int) -> list[object]:
    return [event.server_event_seq for event in journal.after(after)]


def test_what_was_not_received_is_told_again() -> None:
    journal = Journal(1000)
    sent(journal, 5)
    assert numbers(journal, 2) == [3, 4, 5]
    assert numbers(journal, 5) == []
    assert numbers(journal, 0) == [1, 2, 3, 4, 5]


def test_partials_and_events_of_one_socket_have_no_number() -> None:
    journal = Journal(1000)
    progress = events.OmniProgress(response_id="r", step=1, steps=2, unmasked_ratio=0.5, eta_ms=1)
    assert not journal.number(progress)
    assert not journal.number(events.SessionHeartbeatAck(session_id="s"))
    sent(journal, 1)
    assert journal.last == 1


def test_acknowledged_events_are_let_go() -> None:
    journal = Journal(1000)
    sent(journal, 5)
    journal.acknowledge(3)
    journal.acknowledge(2)
    assert journal.num_bytes == 20
    assert numbers(journal, 3) == [4, 5]
    with pytest.raises(JournalGapError, match="events 3 to 3 are no longer kept"):
        journal.after(2)


def test_the_oldest_are_pushed_out_and_missed_only_by_who_had_not_received_them() -> None:
    journal = Journal(35)
    sent(journal, 10)
    assert journal.num_bytes == 30
    assert numbers(journal, 7) == [8, 9, 10]
    with pytest.raises(JournalGapError):
        journal.after(6)


def test_an_event_larger_than_all_room() -> None:
    journal = Journal(35)
    sent(journal, 2)
    sent(journal, 1, num_bytes=100)
    assert journal.num_bytes == 0
    assert numbers(journal, 3) == []
    with pytest.raises(JournalGapError):
        journal.after(2)


def test_numbers_that_were_not_given_yet() -> None:
    journal = Journal(1000)
    sent(journal, 2)
    with pytest.raises(ProtocolError, match="the newest event has 2"):
        journal.acknowledge(3)
    with pytest.raises(ProtocolError, match="begin a new session"):
        journal.after(3)
