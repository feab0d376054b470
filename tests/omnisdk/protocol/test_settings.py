from omnisdk.protocol.settings import (
    DEFAULT_OMNI,
    AudioInput,
    AudioOutput,
    AudioSettings,
    OmniSettings,
    SessionSettings,
    merged,
)


def test_what_is_not_named_stays() -> None:
    old = SessionSettings(instructions="be brief", tool_choice="auto")
    assert merged(old, SessionSettings(tool_choice="none")) == SessionSettings(
        instructions="be brief", tool_choice="none"
    )


def test_objects_are_laid_over_field_by_field() -> None:
    old = SessionSettings(
        audio=AudioSettings(input=AudioInput(transcription={"model": "a"}), output=AudioOutput(speed=1))
    )
    new = SessionSettings(audio=AudioSettings(input=AudioInput(turn_detection=None)))
    both = AudioInput(transcription={"model": "a"}, turn_detection=None)
    assert merged(old, new).audio == AudioSettings(input=both, output=AudioOutput(speed=1))


def test_null_is_a_value() -> None:
    assert merged(OmniSettings(seed=3), OmniSettings(seed=None)).seed is None


def test_the_old_settings_do_not_change() -> None:
    merged(DEFAULT_OMNI, OmniSettings(steps=3))
    assert DEFAULT_OMNI.steps is None
