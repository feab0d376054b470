import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from omnisdk.protocol import errors, limits
from omnisdk.protocol.audio import A_LAW, MU_LAW
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    ItemReference,
)
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.session import SessionRules, new_session_settings
from omnisdk.protocol.settings import (
    LOGPROBS,
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    OmniSettings,
    ResponseSettings,
    SemanticVad,
    ServerVad,
    SessionSettings,
)
from tests.support.session_rules import assert_refused, counted_ids, message, new_rules, pcm, words


@pytest.fixture
def rules() -> SessionRules:
    return new_rules()


class TestSettings:
    def test_turn_detection_is_off_where_nobody_expects_it(self, rules: SessionRules) -> None:
        assert rules.settings.audio.input.turn_detection is None  # type: ignore[union-attr]

    def test_who_expects_it_is_listened_to_until_they_know_or_say_otherwise(self) -> None:
        def begun(**options: object) -> SessionRules:
            settings = new_session_settings("sess_1", "model", listens=True)
            return SessionRules(settings, counted_ids(), **options)  # type: ignore[arg-type]

        assert begun().turn_detection == ServerVad()
        assert begun(opted_in=True).turn_detection is None
        late = begun()
        late.update(SessionSettings(omni=OmniSettings(seed=3)))
        assert late.turn_detection is None
        said = begun()
        said.update(SessionSettings(audio=AudioSettings(input=AudioInput(turn_detection=ServerVad(threshold=0.7)))))
        said.update(SessionSettings(omni=OmniSettings(seed=3)))
        assert said.turn_detection == ServerVad(threshold=0.7)

    def test_a_change_is_laid_over_what_holds(self, rules: SessionRules) -> None:
        changed = rules.update(SessionSettings(instructions="be brief"))
        assert changed.instructions == "be brief"
        assert changed.output_modalities == ["text"]

    def test_the_model_and_the_id_are_the_servers(self, rules: SessionRules) -> None:
        changed = rules.update(SessionSettings(model="another", id="mine"))
        assert (changed.model, changed.id) == ("model", "sess_1")

    def test_turn_detection_has_its_numbers(self, rules: SessionRules) -> None:
        assert rules.turn_detection is None
        for wanted, silence_ms in ((ServerVad(), 500), (SemanticVad(eagerness="high"), 300)):
            rules.update(SessionSettings(audio=AudioSettings(input=AudioInput(turn_detection=wanted))))
            assert rules.turn_detection is not None
            assert rules.turn_detection.silence_duration_ms == silence_ms
        rules.update(SessionSettings(audio=AudioSettings(input=AudioInput(turn_detection=None))))
        assert rules.turn_detection is None

    def test_an_idle_timeout(self, rules: SessionRules) -> None:
        assert rules.idle_timeout_ms is None
        detection = ServerVad(idle_timeout_ms=5_000)
        rules.update(SessionSettings(audio=AudioSettings(input=AudioInput(turn_detection=detection))))
        assert rules.idle_timeout_ms == 5_000

    def test_silence_is_a_turn_however_short(self, rules: SessionRules) -> None:
        rules.append_audio(pcm(0.02))
        committed = rules.commit_silence("item_a")
        assert len(committed.pcm) == committed.rate_hz * limits.MIN_SPEECH_MS // 1000
        assert [item.id for item in rules.conversation.items] == ["item_a"]
        assert rules.input.seconds == 0

    def test_what_a_transcript_tells(self, rules: SessionRules) -> None:
        assert not rules.transcription_wanted
        assert not rules.logprobs_told
        heard = AudioSettings(input=AudioInput(transcription={"model": "any"}))
        rules.update(SessionSettings(audio=heard, include=[LOGPROBS]))
        assert rules.transcription_wanted
        assert rules.logprobs_told

    def test_telephone_audio(self, rules: SessionRules) -> None:
        both = AudioFormat(type="audio/pcmu")
        rules.update(
            SessionSettings(audio=AudioSettings(input=AudioInput(format=both), output=AudioOutput(format=both)))
        )
        assert (rules.input_encoding, rules.output_encoding(ResponseSettings())) == (MU_LAW, MU_LAW)
        own = AudioSettings(output=AudioOutput(format=AudioFormat(type="audio/pcma")))
        assert rules.output_encoding(ResponseSettings(audio=own)) == A_LAW

    def test_speed_is_the_responses_own_or_the_sessions(self, rules: SessionRules) -> None:
        assert rules.speed(ResponseSettings()) == 1.0
        rules.update(SessionSettings(audio=AudioSettings(output=AudioOutput(speed=1.5))))
        assert rules.speed(ResponseSettings()) == 1.5
        assert rules.speed(ResponseSettings(audio=AudioSettings(output=AudioOutput(speed=0.5)))) == 0.5

    def test_audio_answers_are_refused(self, rules: SessionRules) -> None:
        wanted = SessionSettings(output_modalities=["audio"])
        param = "session.output_modalities"
        assert_refused(lambda: rules.update(wanted), errors.INVALID_VALUE, param, r'output_modalities \["text"\]')

    def test_speech_is_refused_by_a_model_that_does_not_speak(self, rules: SessionRules) -> None:
        omni = OmniSettings(output=["speech"])
        code, told = errors.UNSUPPORTED_VALUE, "does not speak; leave speech out"
        assert_refused(lambda: rules.update(SessionSettings(omni=omni)), code, "session.omni.output", told)
        assert not rules.opted_in
        param = "response.omni.output"
        assert_refused(lambda: rules.answer_omni(ResponseSettings(omni=omni)), code, param, told)
        named = ResponseSettings(metadata={"omni_output": "speech,text"})
        assert_refused(lambda: rules.answer_omni(named), code, param, told)
        audio = ResponseSettings(output_modalities=["audio"])
        param = "response.output_modalities"
        assert_refused(lambda: rules.check_response(audio), errors.INVALID_VALUE, param, "answers in text")

    def test_a_refused_change_changes_nothing(self, rules: SessionRules) -> None:
        with pytest.raises(ProtocolError):
            rules.update(SessionSettings(instructions="x", output_modalities=["audio"], omni=OmniSettings()))
        assert rules.settings.instructions == ""
        assert not rules.opted_in

    def test_naming_omni_opts_in_with_its_defaults(self, rules: SessionRules) -> None:
        changed = rules.update(SessionSettings(omni=OmniSettings(steps=9)))
        assert rules.opted_in
        assert (changed.omni.steps, changed.omni.partials) == (9, "both")  # type: ignore[union-attr]

    def test_a_responses_own_settings_win_over_metadata_and_session(self, rules: SessionRules) -> None:
        rules.update(SessionSettings(omni=OmniSettings(output=["image"], seed=1)))
        by_metadata = rules.answer_omni(ResponseSettings(metadata={"omni_output": "text"}))
        assert (by_metadata.output, by_metadata.seed) == (["text"], 1)
        own = OmniSettings(output=["image", "text"])
        assert rules.answer_omni(ResponseSettings(metadata={"omni_output": "text"}, omni=own)).output == [
            "image",
            "text",
        ]

    def test_unknown_output_in_metadata(self, rules: SessionRules) -> None:
        wanted = ResponseSettings(metadata={"omni_output": "smell"})
        param = "response.metadata.omni_output"
        assert_refused(lambda: rules.answer_omni(wanted), errors.INVALID_VALUE, param, "smell")


class TestInputBuffer:
    def test_a_commit_makes_a_user_item_of_all_that_was_appended(self, rules: SessionRules) -> None:
        rules.append_audio(pcm(0.2))
        rules.append_audio(pcm(0.3))
        committed = rules.commit_audio()
        assert len(committed.pcm) == WIRE_SAMPLE_RATE_HZ // 2
        assert committed.placed.item.role == "user"
        assert rules.conversation.items == [committed.placed.item]
        assert rules.input.seconds == 0

    @pytest.mark.parametrize("seconds", [0, 0.09])
    def test_too_little_to_commit(self, rules: SessionRules, seconds: float) -> None:
        if seconds:
            rules.append_audio(pcm(seconds))
        assert_refused(rules.commit_audio, errors.AUDIO_COMMIT_EMPTY, None, "at least 100 ms")
        assert rules.input.seconds == pytest.approx(seconds, abs=1e-3)

    def test_too_much_is_refused_and_the_buffer_keeps_what_it_had(self, rules: SessionRules) -> None:
        rules.append_audio(pcm(29))
        assert_refused(lambda: rules.append_audio(pcm(2)), errors.AUDIO_TOO_LONG, "audio", r"31\.0 s .* at most 30 s")
        assert rules.input.seconds == 29
        assert len(rules.commit_audio().pcm) == 29 * WIRE_SAMPLE_RATE_HZ

    def test_clear(self, rules: SessionRules) -> None:
        rules.append_audio(pcm(1))
        rules.clear_audio()
        assert rules.input.seconds == 0


class TestConversation:
    def test_an_item_without_id_gets_one(self, rules: SessionRules) -> None:
        assert rules.add_item(words()).item.id == "item_1"

    def test_no_parts_at_all(self, rules: SessionRules) -> None:
        assert_refused(lambda: rules.add_item(message()), errors.INVALID_VALUE, "item.content", "no content")

    def test_media_are_not_kept_in_the_item(self, rules: SessionRules) -> None:
        picture = InputImage(image_url=Picture(b"png"), detail="low")
        placed = rules.add_item(message(InputAudio(audio=pcm(1)), picture))
        assert placed.item.content == [InputAudio(), InputImage(detail="low")]

    def test_calls_and_their_outputs(self, rules: SessionRules) -> None:
        call = rules.add_item(FunctionCall(name="f", arguments="{}")).item
        assert isinstance(call, FunctionCall)
        rules.add_item(FunctionCallOutput(call_id=str(call.call_id), output="done"))
        unknown = FunctionCallOutput(call_id="nix", output="done")
        assert_refused(lambda: rules.add_item(unknown), errors.UNKNOWN_CALL_ID, "item.call_id", str(call.call_id))
        wrong = FunctionCall(name="f", arguments="[1")
        assert_refused(lambda: rules.add_item(wrong), errors.INVALID_VALUE, "item.arguments", "JSON object")


class TestResponse:
    @pytest.mark.parametrize(
        ("wanted", "param"),
        [
            (ResponseSettings(output_modalities=["audio"]), "response.output_modalities"),
            (ResponseSettings(prompt={"id": "pmpt_1"}), "response.prompt"),
            (ResponseSettings(tool_choice="required"), "response.tool_choice"),
        ],
    )
    def test_what_is_not_supported(self, rules: SessionRules, wanted: ResponseSettings, param: str) -> None:
        with pytest.raises(ProtocolError) as caught:
            rules.check_response(wanted)
        assert caught.value.param == param


class TestBesideTheConversation:
    def test_its_own_input(self, rules: SessionRules) -> None:
        rules.add_item(words("one", "a"))
        wanted = ResponseSettings(input=[ItemReference(id="a"), words("two")], conversation="none")
        first, second = rules.read_by(wanted)
        assert first is rules.conversation.items[0]
        assert second.id is not None
        assert len(rules.conversation.items) == 1

    def test_a_reference_to_nothing(self, rules: SessionRules) -> None:
        wanted = ResponseSettings(input=[ItemReference(id="nix")])
        assert_refused(lambda: rules.read_by(wanted), errors.INVALID_VALUE, "response.input[0].id", "'nix'")


class AnyOrder(RuleBasedStateMachine):
    """Client events and the engine's ends in any order: the rules hold, and only end_response ends a response."""

    def __init__(self) -> None:
        super().__init__()
        self.session = new_rules()
        self.running: str | None = None
        self.ids: list[str] = []

    @rule(seconds=st.sampled_from([0.05, 0.2, 20.0]))
    def append(self, seconds: float) -> None:
        before = self.session.input.seconds
        try:
            self.session.append_audio(pcm(seconds))
        except ProtocolError:
            assert before + seconds > limits.MAX_SPEECH_S
            assert self.session.input.seconds == before

    @rule()
    def commit(self) -> None:
        before = self.session.input.seconds
        try:
            self.ids.append(str(self.session.commit_audio().placed.item.id))
        except ProtocolError:
            assert before < 0.1

    @rule(previous=st.sampled_from([None, "root", "item_2", "item_9"]))
    def say(self, previous: str | None) -> None:
        known = previous in (None, "root") or previous in self.ids
        try:
            self.ids.append(str(self.session.add_item(words(), previous).item.id))
            assert known
        except ProtocolError:
            assert not known

    @rule(item_id=st.sampled_from(["item_1", "item_2", "item_3", "item_9"]))
    def delete(self, item_id: str) -> None:
        try:
            self.session.conversation.delete(item_id)
            self.ids.remove(item_id)
        except ProtocolError:
            assert item_id not in self.ids

    @rule()
    def respond(self) -> None:
        try:
            self.session.check_response(ResponseSettings())
            assert self.running is None
            self.running = self.session.responses.begin()
        except ProtocolError as error:
            assert self.running is not None
            assert error.code == errors.RESPONSE_ALREADY_ACTIVE  # noqa: PT017

    @rule()
    def cancel(self) -> None:
        try:
            assert self.session.responses.to_cancel(None) == self.running
        except ProtocolError:
            assert self.running is None

    @rule()
    def engine_ends(self) -> None:
        self.session.responses.end()
        self.running = None

    @invariant()
    def state_is_what_was_done(self) -> None:
        assert self.session.responses.active_id == self.running
        assert sorted(str(item.id) for item in self.session.conversation.items) == sorted(self.ids)


AnyOrder.TestCase.settings = settings(deadline=None, max_examples=20, stateful_step_count=20)
TestAnyOrder = AnyOrder.TestCase
