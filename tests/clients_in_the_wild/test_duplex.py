"""vLLM-Omni's DuplexClient holds a conversation with the embedded model, over a connection that is lost."""

from pathlib import Path

import pytest

from tests.clients_in_the_wild.checks import BACKGROUND, check_heard, check_sound
from tests.clients_in_the_wild.programs_of_others import NEEDED, run

pytestmark = [pytest.mark.wild, NEEDED]


def test_a_conversation_that_outlives_its_socket(embedded: tuple[str, str], spoken: Path, picture: Path) -> None:
    url, output = embedded
    if output != "audio":
        pytest.skip("the embedded model does not speak")
    seen = run("duplex", url, spoken, picture)
    heard, shown, called, interrupted, cut, again = seen["answers"]
    check_heard(seen["heard"][0])
    check_sound(heard["sound"])
    assert BACKGROUND in shown["words"]
    check_sound(shown["sound"])
    assert called["output"][0]["name"] == "set_light"
    assert called["output"][0]["arguments"].replace(" ", "") == '{"room":"hall","state":"off"}'
    assert interrupted["status"] == "cancelled"
    assert len(interrupted["sound"]) < len(shown["sound"])
    assert [answer["status"] for answer in (heard, shown, called, cut, again)] == ["completed"] * 5
    # The socket was lost after the answer to this had begun: nothing of it is missing, nothing came twice.
    assert (seen["sockets"], seen["kinds"].count("connection.resumed")) == (2, 1)
    assert seen["numbers"] == list(range(seen["numbers"][0], seen["numbers"][-1] + 1))
    check_sound(cut["sound"])
    # Half of what was said of the picture was acknowledged as played, so half of it is remembered.
    assert 0 < len(seen["remembered"]) < len(shown["words"])
    assert shown["words"].startswith(seen["remembered"])
    assert seen["kinds"][-1] == "session.closed"
