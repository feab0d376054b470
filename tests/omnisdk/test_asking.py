from typing import Any

import msgspec
import pytest

from omnisdk.asking import answer_settings, canvas_settings, session_update
from omnisdk.canvas import Canvas
from omnisdk.conversation import Text
from omnisdk.errors import SettingsError
from omnisdk.protocol import settings as wire
from omnisdk.settings import GenerationSettings
from omnisdk.tools import tool


@tool
def ring(times: int) -> str:
    """Ring the bell."""
    return "ringing" * times


def test_a_session_is_told_its_tools_and_how_its_turns_end() -> None:
    wanted = GenerationSettings(tools=[ring], tool_choice="ring", output=["text"])
    session = session_update(wanted, "Be brief.", wire.ServerVad()).session
    assert isinstance(session.tools, list)
    assert [told.name for told in session.tools] == ["ring"]
    assert session.tool_choice == wire.ToolChoiceFunction(name="ring")
    assert session.instructions == "Be brief."
    assert session.audio is not msgspec.UNSET
    assert isinstance(session.audio.input, wire.AudioInput)
    assert session.audio.input.turn_detection == wire.ServerVad()


def test_an_answer_of_a_type_is_a_call_of_its_form() -> None:
    wanted = answer_settings(GenerationSettings(output=bool))
    assert isinstance(wanted.tools, list)
    assert wanted.tool_choice == wire.ToolChoiceFunction(name=wanted.tools[0].name)


def test_a_canvas_stands_beside_the_conversation() -> None:
    wanted = canvas_settings(Canvas(Text("a {mask}"), prompt="what?"), GenerationSettings(seed=3))
    assert wanted.conversation == "none"
    assert isinstance(wanted.omni, wire.OmniSettings)
    assert (wanted.omni.seed, wanted.omni.given) == (3, [wire.GivenText(text="a {mask}", gap=1)])


def test_a_canvas_may_answer_the_conversation() -> None:
    wanted = answer_settings(GenerationSettings(seed=3), Canvas(Text("a {mask}")))
    assert (wanted.conversation, wanted.input) == (msgspec.UNSET, msgspec.UNSET)
    assert isinstance(wanted.omni, wire.OmniSettings)
    assert wanted.omni.canvas == [wire.CanvasSlot(slot="text")]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"tools": [ring]}, "calls no tools; let another answer"),
        ({"tool_choice": "required"}, "calls no tools; let another answer"),
        ({"output": ["image"]}, "leave out output and recipe"),
        ({"output": bool}, "leave out output and recipe"),
        ({"recipe": "text_to_image"}, "leave out output and recipe"),
    ],
)
def test_what_does_not_go_with_a_canvas(numbers: dict[str, Any], said: str) -> None:
    for asked in (canvas_settings, lambda canvas, wanted: answer_settings(wanted, canvas)):
        with pytest.raises(SettingsError, match=said):
            asked(Canvas("a {mask}"), GenerationSettings(**numbers))


def test_the_conversation_is_the_prompt_of_a_canvas_that_answers_it() -> None:
    with pytest.raises(SettingsError, match=r"came with a prompt; say that with send"):
        answer_settings(GenerationSettings(), Canvas("a {mask}", prompt="what?"))
