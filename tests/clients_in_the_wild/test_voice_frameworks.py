"""Voice frameworks as their users run them, in whole conversations with the embedded model: words, a voice whose turns
the server hears, a picture, a tool, and speech into an answer."""

from pathlib import Path

import pytest

from tests.clients_in_the_wild.checks import BACKGROUND, check_heard, check_sound
from tests.clients_in_the_wild.programs_of_others import NEEDED, run

pytestmark = [pytest.mark.wild, NEEDED]


@pytest.fixture
def speaking(embedded: tuple[str, str]) -> str:
    """The address of the server, if its model speaks: these frameworks ask for nothing else."""
    url, output = embedded
    if output != "audio":
        pytest.skip("the embedded model does not speak")
    return url


def test_openai_agents(speaking: str, spoken: Path, picture: Path) -> None:
    seen = run("openai_agents", speaking, spoken, picture)
    written, heard, shown, called, told, interrupted, again = seen["answers"]
    for answer in (written, heard, shown):
        check_sound(answer["sound"])
    check_heard(seen["heard"][0])
    assert BACKGROUND in shown["words"]
    assert (seen["called"], called["words"]) == (["hall"], "")
    assert told["status"] == "completed"
    assert [item["output"] for item in seen["history"] if item["type"] == "function_call"] == ["stopped"]
    assert interrupted["status"] == "cancelled"
    assert len(interrupted["sound"]) < len(written["sound"])
    check_heard(seen["heard"][1])
    assert again["status"] == "completed"


def test_pydantic_ai(speaking: str, spoken: Path, picture: Path) -> None:
    seen = run("pydantic_ai", speaking, spoken, picture)
    written, heard, shown, _called_and_told, interrupted, _again = seen["answers"]
    for answer in (written, heard, shown):
        check_sound(answer["sound"])
    check_heard(seen["heard"][0])
    assert BACKGROUND in shown["words"]
    assert seen["called"] == ["hall"]
    assert seen["states"] == ["complete"] * 5 + ["interrupted", "complete"]
    assert len(interrupted["sound"]) < len(written["sound"])
    check_heard(seen["heard"][1])


def test_pipecat(speaking: str, spoken: Path, picture: Path) -> None:
    seen = run("pipecat", speaking, spoken, picture)
    written, heard, shown, _called, told, interrupted, again = seen["answers"]
    for answer in (written, heard, shown):
        check_sound(answer["sound"])
    check_heard(seen["heard"][0])
    assert BACKGROUND in shown["words"]
    assert (seen["called"], told["status"]) == (["hall"], "completed")
    assert interrupted["status"] == "incomplete"
    assert len(interrupted["sound"]) < len(written["sound"])
    check_heard(seen["heard"][1])
    assert again["status"] == "completed"


def test_livekit(speaking: str, spoken: Path, picture: Path) -> None:
    seen = run("livekit", speaking, spoken, picture)
    written, heard, shown, called, _told, interrupted, _again = seen["answers"]
    for answer in (written, heard, shown):
        check_sound(answer["sound"])
    check_heard(seen["heard"][0])
    assert BACKGROUND in shown["words"]
    assert (seen["called"], called["words"]) == (["hall"], "")
    assert seen["statuses"] == ["completed"] * 5 + ["cancelled", "completed"]
    assert len(interrupted["sound"]) < len(written["sound"])
