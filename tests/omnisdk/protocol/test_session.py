import itertools
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from omnisdk.protocol import errors, limits
from omnisdk.protocol.audio import A_LAW, MU_LAW
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    ItemReference,
    Message,
    OutputAudio,
    OutputText,
    Role,
)
from omnisdk.protocol.limits import BYTES_PER_SECOND, WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.session import SessionRules, new_session_settings
from omnisdk.protocol.settings import (
    LOGPROBS,
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    FunctionTool,
    OmniSettings,
    OutputModality,
    ResponseSettings,
    SemanticVad,
    ServerVad,
    SessionSettings,
    ToolChoice,
    ToolChoiceFunction,
)


def counted_ids() -> Callable[[str], str]:
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}_{next(numbers)}"


def new_rules(**options: object) -> SessionRules:
    return SessionRules(new_session_settings("sess_1", "model"), counted_ids(), **options)  # type: ignore[arg-type]


@pytest.fixture
def rules() -> SessionRules:
    return new_rules()


def pcm(seconds: float) -> bytes:
    return bytes(round(BYTES_PER_SECOND * seconds / 2) * 2)


def message(*parts: ContentPart, role: Role = "user", item_id: str | None = None) -> Message:
    return Message(role=role, content=list(parts), id=item_id)


def words(text: str = "hello", item_id: str | None = None) -> Message:
    return message(InputText(text=text), item_id=item_id)


def assert_refused(call: Callable[[], object], code: str, param: str | None, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as caught:
        call()
    assert (caught.value.code, caught.value.param) == (code, param)


class TestSettings:
    def test_turn_detection_is_announced_as_off(self, rules: SessionRules) -> None:
        assert rules.settings.audio.input.turn_detection is None  # type: ignore[union-attr]

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
        assert [item.id for item in rules.items] == ["item_a"]
        assert rules.input.seconds == 0

    def test_what_a_transcript_tells(self, rules: SessionRules) -> None:
        assert not rules.transcription_wanted
        assert not rules.logprobs_told
        heard = AudioSettings(input=AudioInput(transcription={"model": "any"}))
        rules.update(SessionSettings(audio=heard, include=[LOGPROBS]))
        assert rules.transcription_wanted
        assert rules.logprobs_told

    def test_a_stored_prompt_is_refused(self, rules: SessionRules) -> None:
        wanted = SessionSettings(prompt={"id": "pmpt_1"})
        assert_refused(lambda: rules.update(wanted), errors.UNSUPPORTED_VALUE, "session.prompt", "as instructions")
        rules.update(SessionSettings(prompt=None))

    def test_telephone_audio(self, rules: SessionRules) -> None:
        both = AudioFormat(type="audio/pcmu")
        rules.update(
            SessionSettings(audio=AudioSettings(input=AudioInput(format=both), output=AudioOutput(format=both)))
        )
        assert (rules.input_encoding, rules.output_encoding(ResponseSettings())) == (MU_LAW, MU_LAW)
        own = AudioSettings(output=AudioOutput(format=AudioFormat(type="audio/pcma")))
        assert rules.output_encoding(ResponseSettings(audio=own)) == A_LAW

    @pytest.mark.parametrize("wanted", [AudioFormat(type="audio/ogg"), AudioFormat(type="audio/pcm", rate=16000)])
    def test_other_audio_is_refused(self, rules: SessionRules, wanted: AudioFormat) -> None:
        change = SessionSettings(audio=AudioSettings(input=AudioInput(format=wanted)))
        param = "session.audio.input.format"
        assert_refused(lambda: rules.update(change), errors.UNSUPPORTED_VALUE, param, "24000 Hz or audio/pcmu at 8000")

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

    def test_tools_have_names_of_their_own(self, rules: SessionRules) -> None:
        rules.update(SessionSettings(tools=[FunctionTool(name="a")], tool_choice=ToolChoiceFunction(name="a")))
        twice = SessionSettings(tools=[FunctionTool(name="a"), FunctionTool(name="a")])
        assert_refused(lambda: rules.update(twice), errors.INVALID_VALUE, "session.tools", "two tools are called 'a'")

    @pytest.mark.parametrize("choice", ["required", ToolChoiceFunction(name="b")])
    def test_a_choice_that_is_not_there(self, rules: SessionRules, choice: ToolChoice) -> None:
        wanted = SessionSettings(tool_choice=choice)
        assert_refused(lambda: rules.update(wanted), errors.INVALID_VALUE, "session.tool_choice", "there are no tools")
        own = ResponseSettings(tool_choice=choice)
        param = "response.tool_choice"
        assert_refused(lambda: rules.check_response(own), errors.INVALID_VALUE, param, "there are no tools")

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


class TestInputBuffer:
    def test_a_commit_makes_a_user_item_of_all_that_was_appended(self, rules: SessionRules) -> None:
        rules.append_audio(pcm(0.2))
        rules.append_audio(pcm(0.3))
        committed = rules.commit_audio()
        assert len(committed.pcm) == WIRE_SAMPLE_RATE_HZ // 2
        assert committed.placed.item.role == "user"
        assert rules.items == [committed.placed.item]
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
    def test_items_stand_where_they_were_put(self, rules: SessionRules) -> None:
        rules.add_item(words(item_id="b"))
        assert rules.add_item(words(item_id="d")).previous_item_id == "b"
        assert rules.add_item(words(item_id="c"), "b").previous_item_id == "b"
        assert rules.add_item(words(item_id="a"), "root").previous_item_id is None
        assert [item.id for item in rules.items] == ["a", "b", "c", "d"]

    def test_an_item_without_id_gets_one(self, rules: SessionRules) -> None:
        assert rules.add_item(words()).item.id == "item_1"

    def test_an_id_twice(self, rules: SessionRules) -> None:
        rules.add_item(words(item_id="a"))
        assert_refused(lambda: rules.add_item(words(item_id="a")), errors.DUPLICATE_ITEM_ID, "item.id", "'a'")

    def test_behind_an_item_that_is_not_there(self, rules: SessionRules) -> None:
        code = errors.INVALID_PREVIOUS_ITEM_ID
        assert_refused(lambda: rules.add_item(words(), "nix"), code, "previous_item_id", "'nix'")

    @pytest.mark.parametrize(
        "item",
        [
            message(InputText(text="x"), role="assistant"),
            message(InputAudio(audio=pcm(1)), role="system"),
            message(OutputText(text="x"), role="user"),
        ],
    )
    def test_a_part_that_is_not_the_roles(self, rules: SessionRules, item: Message) -> None:
        assert_refused(lambda: rules.add_item(item), errors.INVALID_VALUE, "item.content[0].type", "it takes")

    def test_no_parts_at_all(self, rules: SessionRules) -> None:
        assert_refused(lambda: rules.add_item(message()), errors.INVALID_VALUE, "item.content", "no content")

    def test_too_long_speech_in_an_item(self, rules: SessionRules) -> None:
        item = message(InputText(text="x"), InputAudio(audio=pcm(31)))
        assert_refused(lambda: rules.add_item(item), errors.AUDIO_TOO_LONG, "item.content[1].audio", "at most 30 s")

    def test_too_long_a_text(self, rules: SessionRules) -> None:
        item = words("x" * (limits.MAX_TEXT_LENGTH + 1))
        assert_refused(lambda: rules.add_item(item), errors.INVALID_VALUE, "item.content[0].text", "32769 characters")

    def test_too_many_items(self, rules: SessionRules) -> None:
        for _ in range(limits.MAX_ITEMS):
            rules.add_item(words())
        assert_refused(lambda: rules.add_item(words()), errors.CONVERSATION_TOO_LARGE, None, "delete some")

    def test_media_are_not_kept_in_the_item(self, rules: SessionRules) -> None:
        picture = InputImage(image_url=Picture(b"png"), detail="low")
        placed = rules.add_item(message(InputAudio(audio=pcm(1)), picture))
        assert placed.item.content == [InputAudio(), InputImage(detail="low")]

    def test_retrieve_and_delete(self, rules: SessionRules) -> None:
        rules.add_item(words(item_id="a"))
        assert rules.retrieve_item("a").id == "a"
        rules.delete_item("a")
        assert_refused(lambda: rules.retrieve_item("a"), errors.RETRIEVE_INVALID_ITEM_ID, "item_id", "0 items")
        assert_refused(lambda: rules.delete_item("a"), errors.DELETE_INVALID_ITEM_ID, "item_id", "'a'")

    def test_truncate_keeps_what_was_heard(self, rules: SessionRules) -> None:
        spoken = message(OutputAudio(transcript="one two three four"), role="assistant", item_id="a")
        rules.add_item(spoken)
        rules.note_spoken("a", 1_000)
        assert rules.truncate_item("a", 0, 500) == 500
        assert rules.retrieve_item("a").content == [OutputAudio(transcript="one two")]  # type: ignore[union-attr]

    @pytest.mark.parametrize(("end_ms", "heard_ms", "left"), [(0, 0, ""), (9_999, 1_000, "one two")])
    def test_truncate_is_clamped(self, rules: SessionRules, end_ms: int, heard_ms: int, left: str) -> None:
        rules.begin_answer(message(OutputAudio(transcript=""), role="assistant", item_id="a"))
        rules.note_spoken("a", 400)
        rules.note_spoken("a", 600)
        assert rules.truncate_item("a", 0, end_ms) == heard_ms
        whole = message(OutputAudio(transcript="one two"), role="assistant", item_id="a")
        rules.settle_answer(whole)  # the end of the answer comes after
        assert rules.retrieve_item("a").content == [OutputAudio(transcript=left)]  # type: ignore[union-attr]

    def test_nothing_is_kept_of_deleted_answers_and_of_those_beside_the_conversation(self, rules: SessionRules) -> None:
        rules.add_item(message(OutputAudio(transcript="one"), role="assistant", item_id="a"))
        rules.note_spoken("a", 400)
        rules.note_spoken("beside", 400)
        rules.truncate_item("a", 0, 100)
        rules.delete_item("a")
        assert not rules._spoken_ms
        assert not rules._heard_ms

    def test_truncate_of_what_was_not_spoken(self, rules: SessionRules) -> None:
        rules.add_item(words(item_id="a"))
        code = errors.TRUNCATE_INVALID_ITEM_ID
        assert_refused(lambda: rules.truncate_item("a", 0, 0), code, "item_id", "delete the item instead")
        assert_refused(lambda: rules.truncate_item("b", 0, 0), code, "item_id", "no item 'b'")

    def test_calls_and_their_outputs(self, rules: SessionRules) -> None:
        call = rules.add_item(FunctionCall(name="f", arguments="{}")).item
        assert isinstance(call, FunctionCall)
        rules.add_item(FunctionCallOutput(call_id=str(call.call_id), output="done"))
        unknown = FunctionCallOutput(call_id="nix", output="done")
        assert_refused(lambda: rules.add_item(unknown), errors.UNKNOWN_CALL_ID, "item.call_id", str(call.call_id))
        wrong = FunctionCall(name="f", arguments="[1")
        assert_refused(lambda: rules.add_item(wrong), errors.INVALID_VALUE, "item.arguments", "JSON object")

    def test_a_transcript_is_noted(self, rules: SessionRules) -> None:
        rules.append_audio(pcm(1))
        item = rules.commit_audio().placed.item
        rules.note_transcript(str(item.id), 0, "a red ball")
        assert rules.retrieve_item(str(item.id)).content == [InputAudio(transcript="a red ball")]


class TestResponse:
    def test_one_at_a_time(self, rules: SessionRules) -> None:
        rules.begin_response()
        code = errors.RESPONSE_ALREADY_ACTIVE
        assert_refused(lambda: rules.check_response(ResponseSettings()), code, None, "resp_1 is still being made")
        rules.end_response()
        rules.check_response(ResponseSettings())

    def test_cancel_is_a_request(self, rules: SessionRules) -> None:
        response_id = rules.begin_response()
        assert rules.cancel_response(None) == response_id
        assert rules.cancel_response(response_id) == response_id
        assert rules.active_response_id == response_id

    def test_cancel_with_nothing_active(self, rules: SessionRules) -> None:
        assert_refused(lambda: rules.cancel_response(None), errors.CANCEL_NOT_ACTIVE, None, "^Cancellation failed")

    def test_cancel_of_another(self, rules: SessionRules) -> None:
        rules.begin_response()
        code = errors.CANCEL_NOT_ACTIVE
        assert_refused(lambda: rules.cancel_response("resp_9"), code, "response_id", "^Cancellation failed: 'resp_9'")

    def test_finalize_with_nothing_active(self, rules: SessionRules) -> None:
        assert_refused(
            lambda: rules.finalize_response("resp_1"), errors.FINALIZE_NOT_ACTIVE, "response_id", "Finalizing failed"
        )

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

    def test_an_answer_deleted_while_it_is_made_stays_deleted(self, rules: SessionRules) -> None:
        rules.begin_answer(message(role="assistant", item_id="item_a"))
        rules.delete_item("item_a")
        rules.settle_answer(Message(role="assistant", content=[OutputText(text="x")], id="item_a"))
        assert rules.items == []


class TestBesideTheConversation:
    def test_several_at_once_up_to_a_limit(self, rules: SessionRules) -> None:
        rules.begin_response()
        side = ResponseSettings(conversation="none")
        for _ in range(limits.MAX_SIDE_RESPONSES):
            rules.check_response(side)
            rules.begin_response(side=True)
        assert_refused(lambda: rules.check_response(side), errors.TOO_MANY_RESPONSES, None, "wait for one")
        rules.end_response("resp_2")
        rules.check_response(side)
        assert rules.active_response_id == "resp_1"

    def test_cancel_by_name(self, rules: SessionRules) -> None:
        side = rules.begin_response(side=True)
        assert rules.cancel_response(side) == side
        assert_refused(lambda: rules.cancel_response(None), errors.CANCEL_NOT_ACTIVE, None, "no active response")

    def test_its_own_input(self, rules: SessionRules) -> None:
        rules.add_item(words("one", "a"))
        wanted = ResponseSettings(input=[ItemReference(id="a"), words("two")], conversation="none")
        first, second = rules.read_by(wanted)
        assert first is rules.items[0]
        assert second.id is not None
        assert len(rules.items) == 1

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
            self.session.delete_item(item_id)
            self.ids.remove(item_id)
        except ProtocolError:
            assert item_id not in self.ids

    @rule()
    def respond(self) -> None:
        try:
            self.session.check_response(ResponseSettings())
            assert self.running is None
            self.running = self.session.begin_response()
        except ProtocolError as error:
            assert self.running is not None
            assert error.code == errors.RESPONSE_ALREADY_ACTIVE  # noqa: PT017

    @rule()
    def cancel(self) -> None:
        try:
            assert self.session.cancel_response(None) == self.running
        except ProtocolError:
            assert self.running is None

    @rule()
    def engine_ends(self) -> None:
        self.session.end_response()
        self.running = None

    @invariant()
    def state_is_what_was_done(self) -> None:
        assert self.session.active_response_id == self.running
        assert sorted(str(item.id) for item in self.session.items) == sorted(self.ids)


AnyOrder.TestCase.settings = settings(deadline=None, max_examples=20, stateful_step_count=20)
TestAnyOrder = AnyOrder.TestCase
