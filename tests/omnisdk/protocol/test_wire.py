import json
from typing import Any

import msgspec
import pytest

from omnisdk.protocol import errors, events, wire
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputText, Message


def refusal(frame: str | bytes | dict[str, Any], **options: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        wire.decode_client_event(json.dumps(frame) if isinstance(frame, dict) else frame, **options)
    return caught.value


def picture(url: object) -> dict[str, Any]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url}]}
    return {"type": "conversation.item.create", "item": item}


class TestDecodingOnTheServer:
    def test_reads_what_encode_wrote(self) -> None:
        item = Message(role="user", content=[InputText(text="a red ball")], id="item_1")
        event = events.ConversationItemCreate(event_id="e1", item=item, previous_item_id="root")
        assert wire.decode_client_event(wire.encode(event)) == event

    @pytest.mark.parametrize("frame", ["", "{", '{"type": ', "nonsense", "\ufeff{}", "[" * 20_000])
    def test_no_json(self, frame: str) -> None:
        error = refusal(frame)
        assert error.code == errors.INVALID_JSON
        assert "one object a frame" in error.message

    @pytest.mark.parametrize(
        "frame", [b"", b"\x81", b"\x81\xa1\xff\x01", b"\x91" * 20_000, b"\x81\x80\x01", b"{}", b"\x90"]
    )
    def test_no_messagepack(self, frame: bytes) -> None:
        error = refusal(frame)
        assert error.code == errors.INVALID_MSGPACK
        assert "MessagePack" in error.message

    @pytest.mark.parametrize("frame", ["[]", "3", "null", '"session.update"'])
    def test_no_object(self, frame: str) -> None:
        assert refusal(frame).code == errors.INVALID_JSON

    def test_no_type(self) -> None:
        error = refusal({"event_id": "e1"})
        assert (error.code, error.param, error.event_id) == (errors.MISSING_PARAMETER, "type", "e1")

    @pytest.mark.parametrize("kind", ["response.done", "nonsense", 7, None, ["response.create"]])
    def test_unknown_type_names_the_known_ones(self, kind: object) -> None:
        error = refusal({"type": kind, "event_id": "e1"})
        assert (error.code, error.param, error.event_id) == (errors.INVALID_VALUE, "type", "e1")
        assert "response.create" in error.message

    @pytest.mark.parametrize(
        ("event", "path"),
        [
            ({"type": "response.cancel", "colour": 1}, "colour"),
            ({"type": "session.update", "session": {"type": "realtime", "voice": "x"}}, "session.voice"),
            (
                {"type": "session.update", "session": {"audio": {"input": {"vad": 1}}}},
                "session.audio.input.vad",
            ),
            (
                {
                    "type": "conversation.item.create",
                    "item": {
                        "type": "message",
                        "role": "user",
                        "content": [
                            {"type": "input_text", "text": "a"},
                            {"type": "input_text", "text": "b", "size": 2},
                        ],
                    },
                },
                "item.content[1].size",
            ),
        ],
    )
    def test_unknown_field_is_named_with_its_path(self, event: dict[str, Any], path: str) -> None:
        error = refusal(event)
        assert (error.code, error.param) == (errors.UNKNOWN_PARAMETER, path)

    def test_missing_field_is_named_with_its_path(self) -> None:
        error = refusal({"type": "conversation.item.create", "item": {"type": "message", "role": "user"}})
        assert (error.code, error.param) == (errors.MISSING_PARAMETER, "item.content")

    def test_wrong_type_says_what_came(self) -> None:
        error = refusal({"type": "input_audio_buffer.append", "audio": 5})
        assert (error.code, error.param) == (errors.INVALID_TYPE, "audio")
        assert "expected `bytes` (base64 in JSON), got `int`" in error.message

    def test_wrong_value_names_the_allowed_ones(self) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_smell"}]}
        error = refusal({"type": "conversation.item.create", "item": item})
        assert (error.code, error.param) == (errors.INVALID_VALUE, "item.content[0].type")
        assert "'input_image'" in error.message

    @pytest.mark.parametrize("steps", [0, 101, -1])
    def test_out_of_range(self, steps: int) -> None:
        error = refusal({"type": "session.update", "session": {"omni": {"steps": steps}}})
        assert (error.code, error.param) == (errors.INVALID_VALUE, "session.omni.steps")

    @pytest.mark.parametrize(
        ("slot", "code", "field", "told"),
        [
            ({"steps": 5000}, errors.INVALID_VALUE, "steps", "5000 came, expected `int` <= 1024; send 1 to 1024"),
            ({"top_p": 0}, errors.INVALID_VALUE, "top_p", "0 came, expected `float` > 0.0; send more than 0, up to 1"),
            ({"schedule": "cubic"}, errors.INVALID_VALUE, "schedule", "'cubic'; send 'cosine' or 'linear'"),
            ({"top_k": "many"}, errors.INVALID_TYPE, "top_k", "got `str`; send 0 to 200000"),
            ({"colour": 1}, errors.UNKNOWN_PARAMETER, "colour", "leave it out"),
        ],
    )
    def test_a_wrong_number_of_a_slot_is_named_with_its_slot(
        self, slot: dict[str, object], code: str, field: str, told: str
    ) -> None:
        omni = {"generation": {"text": {"steps": 3}, "image": slot}}
        error = refusal({"type": "session.update", "session": {"omni": omni}})
        assert (error.code, error.param) == (code, f"session.omni.generation.image.{field}")
        assert f"session.omni.generation.image.{field}" in error.message
        assert told in error.message

    def test_too_large_a_frame_names_both_sizes(self) -> None:
        error = refusal({"type": "input_audio_buffer.append", "audio": "A" * 200}, max_bytes=100)
        assert error.code == errors.MESSAGE_TOO_LARGE
        assert "at most 100" in error.message

    def test_too_long_an_event_id(self) -> None:
        assert refusal({"type": "input_audio_buffer.clear", "event_id": "e" * 600}).param == "event_id"


class TestDecodingOnTheClient:
    def test_passes_over_unknown_fields(self) -> None:
        event = wire.decode_server_event('{"type": "input_audio_buffer.cleared", "event_id": "e", "later": {"x": 1}}')
        assert event == events.InputAudioBufferCleared(event_id="e")

    def test_an_unknown_event_is_kept_as_such(self) -> None:
        event = wire.decode_server_event('{"type": "mcp_list_tools.completed", "event_id": "e", "item_id": "i"}')
        assert event == events.UnknownEvent(type="mcp_list_tools.completed", event_id="e")


def test_frames_are_text() -> None:
    assert wire.encode(events.InputAudioBufferCommit()) == '{"type":"input_audio_buffer.commit"}'


def test_frames_of_messagepack_hold_raw_bytes() -> None:
    frame = wire.pack(events.InputAudioBufferAppend(audio=b"pcm"))
    assert frame == b"\x82\xa4type\xb9input_audio_buffer.append\xa5audio\xc4\x03pcm"
    assert wire.decode_client_event(frame) == events.InputAudioBufferAppend(audio=b"pcm")


@pytest.mark.parametrize(
    ("event", "code", "param", "told"),
    [
        ({"type": "input_audio_buffer.append", "audio": "AAA"}, errors.INVALID_VALUE, "audio", "standard base64"),
        (picture("https://a.b/cat.png"), errors.INVALID_IMAGE, "item.content[0].image_url", "image/webp"),
        (picture("data:image/png;base64,!"), errors.INVALID_IMAGE, "item.content[0].image_url", "not base64"),
        (picture(5), errors.INVALID_IMAGE, "item.content[0].image_url", "data URL"),
    ],
)
def test_bad_media_are_named_with_their_path(event: dict[str, Any], code: str, param: str, told: str) -> None:
    error = refusal({"event_id": "e1", **event})
    assert (error.code, error.param, error.event_id) == (code, param, "e1")
    assert told in error.message
    assert refusal(msgspec.msgpack.encode({"event_id": "e1", **event})).message == error.message
