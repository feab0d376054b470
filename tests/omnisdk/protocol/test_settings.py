from omnisdk.protocol.settings import (
    DEFAULT_OMNI,
    AudioInput,
    AudioOutput,
    AudioSettings,
    OmniSettings,
    SessionSettings,
    SlotSettings,
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


def test_the_numbers_of_slots_are_laid_over_one_by_one() -> None:
    old = merged(DEFAULT_OMNI, OmniSettings(generation={"image": SlotSettings(steps=9, top_k=5)}))
    new = OmniSettings(generation={"image": SlotSettings(top_k=None), "text": SlotSettings(length=8)})
    both = {"image": SlotSettings(steps=9, top_k=None), "text": SlotSettings(length=8)}
    assert merged(old, new).generation == both
    assert merged(old, OmniSettings(generation={})).generation == old.generation


def test_free_objects_are_replaced() -> None:
    old = SessionSettings(tracing={"group_id": "a", "workflow_name": "b"})
    assert merged(old, SessionSettings(tracing={"group_id": "c"})).tracing == {"group_id": "c"}
