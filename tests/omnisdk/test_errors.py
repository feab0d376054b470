from omnisdk import errors


def test_every_error_is_an_omni_error() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(classes) > 8
    assert all(issubclass(each, errors.OmniError) for each in classes)


def test_a_server_error_carries_code_and_event_id() -> None:
    error = errors.ServerError("no such item", code="item_not_found", param="item_id", event_id="event_7")
    assert str(error) == "no such item (code item_not_found, param item_id, event event_7)"
    assert (error.code, error.param, error.event_id, error.message) == (
        "item_not_found",
        "item_id",
        "event_7",
        "no such item",
    )


def test_a_local_runtime_error_ends_with_what_the_runtime_said() -> None:
    assert str(errors.LocalRuntimeError("it died", stderr_tail="no model")) == "it died\nno model"
