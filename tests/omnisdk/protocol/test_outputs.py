import pytest

from omnisdk.protocol import errors
from omnisdk.protocol.session import SessionRules, new_session_settings
from omnisdk.protocol.settings import (
    OmniSettings,
    OutputModality,
    ResponseSettings,
    SessionSettings,
)
from tests.support.session_rules import assert_refused, counted_ids, new_rules


@pytest.fixture
def rules() -> SessionRules:
    return new_rules()


class TestSpokenAnswers:
    """What a client of the plain protocol says of output_modalities, and the extension's output, go together."""

    def test_audio_is_speech_with_its_words(self) -> None:
        rules = new_rules(speaks=True)
        assert rules.omni.output == ["text", "image"]
        assert rules.update(SessionSettings(output_modalities=["audio"])).output_modalities == ["audio"]
        assert rules.omni.output == ["speech", "text"]
        assert rules.answer_omni(ResponseSettings(output_modalities=["text"])).output == ["text", "image"]
        rules.update(SessionSettings(output_modalities=["text"]))
        assert rules.omni.output == ["text", "image"]
        assert rules.answer_omni(ResponseSettings(output_modalities=["audio"])).output == ["speech", "text"]

    def test_where_the_model_speaks_answers_are_spoken_unless_the_client_says_or_knows_otherwise(self) -> None:
        def begun(**options: object) -> SessionRules:
            settings = new_session_settings("sess_1", "model", spoken=True)
            return SessionRules(settings, counted_ids(), speaks=True, **options)  # type: ignore[arg-type]

        plain = begun()
        assert (plain.settings.output_modalities, plain.omni.output) == (["audio"], ["speech", "text"])
        ours = begun(opted_in=True)
        assert (ours.settings.output_modalities, ours.omni.output) == (["text"], ["image", "text"])
        late = plain.update(SessionSettings(omni=OmniSettings(seed=3)))
        assert (late.output_modalities, plain.omni.output) == (["text"], ["image", "text"])
        said = begun()
        said.update(SessionSettings(output_modalities=["audio"]))
        assert said.update(SessionSettings(omni=OmniSettings(seed=3))).output_modalities == ["audio"]
        assert said.omni.output == ["speech", "text"]

    def test_the_extension_wins_where_both_are_named(self) -> None:
        rules = new_rules(speaks=True)
        changed = rules.update(SessionSettings(output_modalities=["text"], omni=OmniSettings(output=["speech"])))
        assert (changed.output_modalities, rules.omni.output) == (["audio"], ["speech"])
        own = ResponseSettings(output_modalities=["audio"], omni=OmniSettings(output=["image"]))
        assert rules.answer_omni(own).output == ["image"]

    def test_what_was_said_before_opting_in_holds(self) -> None:
        rules = new_rules(speaks=True)
        rules.update(SessionSettings(output_modalities=["audio"]))
        changed = rules.update(SessionSettings(omni=OmniSettings(seed=3)))
        assert (changed.output_modalities, rules.omni.output) == (["audio"], ["speech", "text"])

    @pytest.mark.parametrize(
        ("output", "left"), [(["speech", "text"], ["text"]), (["speech"], ["text"]), (["image", "speech"], ["image"])]
    )
    def test_text_takes_the_speech_out(self, output: list[OutputModality], left: list[OutputModality]) -> None:
        rules = new_rules(speaks=True, opted_in=True)
        rules.update(SessionSettings(omni=OmniSettings(output=output)))
        assert rules.update(SessionSettings(output_modalities=["text"])).omni.output == left  # type: ignore[union-attr]

    @pytest.mark.parametrize("modalities", [[], ["image"], ["text", "audio"]])
    def test_other_modalities(self, modalities: list[str]) -> None:
        wanted = SessionSettings(output_modalities=modalities)
        told = r'send output_modalities \["text"\] or \["audio"\]'
        update = new_rules(speaks=True).update
        assert_refused(lambda: update(wanted), errors.INVALID_VALUE, "session.output_modalities", told)
