"""What is told when an event breaks a rule. The session lives on."""

from __future__ import annotations

INVALID_JSON = "invalid_json"
INVALID_MSGPACK = "invalid_msgpack"
INVALID_VALUE = "invalid_value"
INVALID_TYPE = "invalid_type"
UNKNOWN_PARAMETER = "unknown_parameter"
MISSING_PARAMETER = "missing_required_parameter"
UNSUPPORTED_VALUE = "unsupported_value"
MESSAGE_TOO_LARGE = "message_too_large"
BINARY_NOT_NEGOTIATED = "binary_not_negotiated"

AUDIO_COMMIT_EMPTY = "input_audio_buffer_commit_empty"
AUDIO_TOO_LONG = "input_audio_too_long"
INVALID_IMAGE = "invalid_image"
IMAGE_TOO_LARGE = "image_too_large"
CONVERSATION_TOO_LARGE = "conversation_too_large"

DUPLICATE_ITEM_ID = "item_create_duplicate_item_id"
INVALID_PREVIOUS_ITEM_ID = "item_create_invalid_previous_item_id"
RETRIEVE_INVALID_ITEM_ID = "item_retrieve_invalid_item_id"
DELETE_INVALID_ITEM_ID = "item_delete_invalid_item_id"
TRUNCATE_INVALID_ITEM_ID = "item_truncate_invalid_item_id"

UNKNOWN_CALL_ID = "item_create_unknown_call_id"
TOO_MANY_RESPONSES = "too_many_responses"

RESPONSE_ALREADY_ACTIVE = "conversation_already_has_active_response"
CANCEL_NOT_ACTIVE = "response_cancel_not_active"
FINALIZE_NOT_ACTIVE = "response_finalize_not_active"
EDIT_NOT_ACTIVE = "canvas_edit_not_active"
EDIT_REFUSED = "canvas_edit_refused"
STEER_REFUSED = "canvas_steer_refused"
FORK_REFUSED = "canvas_fork_refused"
TUNE_NOT_ACTIVE = "response_tune_not_active"
TUNE_REFUSED = "response_tune_refused"
NOTHING_TO_ANSWER = "conversation_has_no_user_item"

# vLLM-Omni's names
INVALID_EVENT_ACK = "invalid_event_ack"
INVALID_RESUME_TOKEN = "invalid_resume_token"
RESUME_CONFLICT = "session_resume_conflict"
RESUME_EXPIRED = "session_resume_expired"
RESUME_UNSUPPORTED = "unsupported_session_resume"
RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"

# The server cannot now, and may soon
OVERLOADED = "overloaded"
SHUTTING_DOWN = "shutting_down"
GENERATION_FAILED = "generation_failed"
INTERNAL_ERROR = "internal_error"

INVALID_REQUEST = "invalid_request_error"
RATE_LIMIT = "rate_limit_error"
SERVER_ERROR = "server_error"


class ProtocolError(ValueError):
    """An event that breaks a rule.

    message: what came, what was allowed, what to do. code: one of this file's. param: path of the field at fault.
    event_id: the client's id of the event, if it could be read.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        param: str | None = None,
        event_id: str | None = None,
        kind: str = INVALID_REQUEST,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.event_id = event_id
        self.kind = kind


def internal_error(what: str) -> ProtocolError:
    """The server's own mistake at `what` came."""
    return ProtocolError(f"the server failed at this {what}; try again", code=INTERNAL_ERROR, kind=SERVER_ERROR)
