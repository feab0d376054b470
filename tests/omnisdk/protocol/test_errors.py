"""The codes are a promise: some clients stop at any error but these."""

from omnisdk.protocol import errors


def test_codes_that_clients_look_for() -> None:
    codes = {value for name, value in vars(errors).items() if name.isupper()}
    assert codes >= {
        "response_cancel_not_active",
        "conversation_already_has_active_response",
        "item_retrieve_invalid_item_id",
        "item_create_duplicate_item_id",
        "input_audio_buffer_commit_empty",
        "input_audio_too_long",
        "unknown_parameter",
        "invalid_json",
        "invalid_value",
        "unsupported_value",
    }


def test_an_error_reads_as_its_message() -> None:
    error = errors.ProtocolError("too long; send less", code=errors.AUDIO_TOO_LONG, param="audio", event_id="e")
    assert str(error) == error.message == "too long; send less"
    assert (error.code, error.param, error.event_id) == ("input_audio_too_long", "audio", "e")
    assert error.kind == "invalid_request_error"
