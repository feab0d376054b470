"""Rules of a session without a server, and what is put in."""

import itertools
from collections.abc import Callable

import pytest

from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import (
    ContentPart,
    InputText,
    Message,
    Role,
)
from omnisdk.protocol.limits import BYTES_PER_SECOND
from omnisdk.protocol.session import SessionRules, new_session_settings


def counted_ids() -> Callable[[str], str]:
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}_{next(numbers)}"


def new_rules(**options: object) -> SessionRules:
    return SessionRules(new_session_settings("sess_1", "model"), counted_ids(), **options)  # type: ignore[arg-type]


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
