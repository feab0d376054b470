import hashlib

import pytest

from runtime.server.keys import Key, Limits, key_shown

PHONE, WEB = Key.of("abc", "phone"), Key.of("def", "web")


def test_which_key_was_shown() -> None:
    assert key_shown((PHONE, WEB), "def") is WEB
    assert key_shown((PHONE, WEB), "abcd") is None
    assert key_shown((PHONE, WEB), "sécret") is None
    assert key_shown((Key.of("", "empty"),), "") is None


def test_a_digest_in_the_place_of_the_key() -> None:
    assert Key.of("sha256:" + hashlib.sha256(b"abc").hexdigest(), "phone") == PHONE


@pytest.mark.parametrize("text", ["sha256:", "sha256:abcd", "sha256:nothing"])
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(ValueError, match=r"digest|hexadecimal"):
        Key.of(text)


def test_the_key_itself_is_not_kept() -> None:
    assert "abc" not in repr(PHONE)
    assert b"abc" not in PHONE.digest


def test_what_is_limited_by_the_minute() -> None:
    assert Limits(sessions=2, steps=100).a_minute == {"steps": 100}
