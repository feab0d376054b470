import pytest

from omnisdk.protocol import errors, limits
from omnisdk.protocol.items import (
    InputAudio,
    InputText,
    Message,
    OutputText,
)
from omnisdk.protocol.session import SessionRules
from omnisdk.protocol.settings import (
    AudioFormat,
    AudioInput,
    AudioSettings,
    FunctionTool,
    ResponseSettings,
    SessionSettings,
    ToolChoice,
    ToolChoiceFunction,
)
from tests.support.session_rules import assert_refused, message, new_rules, pcm, words


@pytest.fixture
def rules() -> SessionRules:
    return new_rules()


def test_a_stored_prompt_is_refused(rules: SessionRules) -> None:
    wanted = SessionSettings(prompt={"id": "pmpt_1"})
    assert_refused(lambda: rules.update(wanted), errors.UNSUPPORTED_VALUE, "session.prompt", "as instructions")
    rules.update(SessionSettings(prompt=None))


@pytest.mark.parametrize("wanted", [AudioFormat(type="audio/ogg"), AudioFormat(type="audio/pcm", rate=16000)])
def test_other_audio_is_refused(rules: SessionRules, wanted: AudioFormat) -> None:
    change = SessionSettings(audio=AudioSettings(input=AudioInput(format=wanted)))
    param = "session.audio.input.format"
    assert_refused(lambda: rules.update(change), errors.UNSUPPORTED_VALUE, param, "24000 Hz or audio/pcmu at 8000")


def test_tools_have_names_of_their_own(rules: SessionRules) -> None:
    rules.update(SessionSettings(tools=[FunctionTool(name="a")], tool_choice=ToolChoiceFunction(name="a")))
    twice = SessionSettings(tools=[FunctionTool(name="a"), FunctionTool(name="a")])
    assert_refused(lambda: rules.update(twice), errors.INVALID_VALUE, "session.tools", "two tools are called 'a'")


@pytest.mark.parametrize("choice", ["required", ToolChoiceFunction(name="b")])
def test_a_choice_that_is_not_there(rules: SessionRules, choice: ToolChoice) -> None:
    wanted = SessionSettings(tool_choice=choice)
    assert_refused(lambda: rules.update(wanted), errors.INVALID_VALUE, "session.tool_choice", "there are no tools")
    own = ResponseSettings(tool_choice=choice)
    param = "response.tool_choice"
    assert_refused(lambda: rules.check_response(own), errors.INVALID_VALUE, param, "there are no tools")


@pytest.mark.parametrize(
    "item",
    [
        message(InputText(text="x"), role="assistant"),
        message(InputAudio(audio=pcm(1)), role="system"),
        message(OutputText(text="x"), role="user"),
    ],
)
def test_a_part_that_is_not_the_roles(rules: SessionRules, item: Message) -> None:
    assert_refused(lambda: rules.add_item(item), errors.INVALID_VALUE, "item.content[0].type", "it takes")


def test_too_long_speech_in_an_item(rules: SessionRules) -> None:
    item = message(InputText(text="x"), InputAudio(audio=pcm(31)))
    assert_refused(lambda: rules.add_item(item), errors.AUDIO_TOO_LONG, "item.content[1].audio", "at most 30 s")


def test_too_long_a_text(rules: SessionRules) -> None:
    item = words("x" * (limits.MAX_TEXT_LENGTH + 1))
    assert_refused(lambda: rules.add_item(item), errors.INVALID_VALUE, "item.content[0].text", "32769 characters")
