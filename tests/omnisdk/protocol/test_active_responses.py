import pytest

from omnisdk.protocol import errors, limits
from omnisdk.protocol.session import SessionRules
from omnisdk.protocol.settings import (
    ResponseSettings,
)
from tests.support.session_rules import assert_refused, new_rules


@pytest.fixture
def rules() -> SessionRules:
    return new_rules()


def test_one_at_a_time(rules: SessionRules) -> None:
    rules.responses.begin()
    code = errors.RESPONSE_ALREADY_ACTIVE
    assert_refused(lambda: rules.check_response(ResponseSettings()), code, None, "resp_1 is still being made")
    rules.responses.end()
    rules.check_response(ResponseSettings())


def test_cancel_is_a_request(rules: SessionRules) -> None:
    response_id = rules.responses.begin()
    assert rules.responses.to_cancel(None) == response_id
    assert rules.responses.to_cancel(response_id) == response_id
    assert rules.responses.active_id == response_id


def test_cancel_with_nothing_active(rules: SessionRules) -> None:
    assert_refused(lambda: rules.responses.to_cancel(None), errors.CANCEL_NOT_ACTIVE, None, "^Cancellation failed")


def test_cancel_of_another(rules: SessionRules) -> None:
    rules.responses.begin()
    code = errors.CANCEL_NOT_ACTIVE
    assert_refused(lambda: rules.responses.to_cancel("resp_9"), code, "response_id", "^Cancellation failed: 'resp_9'")


def test_finalize_with_nothing_active(rules: SessionRules) -> None:
    assert_refused(
        lambda: rules.responses.to_finalize("resp_1"),
        errors.FINALIZE_NOT_ACTIVE,
        "response_id",
        "Finalizing failed",
    )


def test_several_at_once_up_to_a_limit(rules: SessionRules) -> None:
    rules.responses.begin()
    side = ResponseSettings(conversation="none")
    for _ in range(limits.MAX_SIDE_RESPONSES):
        rules.check_response(side)
        rules.responses.begin(side=True)
    assert_refused(lambda: rules.check_response(side), errors.TOO_MANY_RESPONSES, None, "wait for one")
    rules.responses.end("resp_2")
    rules.check_response(side)
    assert rules.responses.active_id == "resp_1"


def test_cancel_by_name(rules: SessionRules) -> None:
    side = rules.responses.begin(side=True)
    assert rules.responses.to_cancel(side) == side
    assert_refused(lambda: rules.responses.to_cancel(None), errors.CANCEL_NOT_ACTIVE, None, "no active response")
