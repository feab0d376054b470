from pathlib import Path

import pytest

from runtime.server.key_file import KeyFileError, keys_of, limits_of
from runtime.server.keys import Key, Limits, key_shown

FILE = """
phone: sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
web:
  key: def
  sessions: 2
  steps: 2000
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "keys.yaml"
    path.write_text(text)
    return path


def test_keys_and_what_they_may_take(tmp_path: Path) -> None:
    keys = keys_of({"desk": "ghi"}, written(tmp_path, FILE), Limits(bytes=5, steps=7))
    assert [key.name for key in keys] == ["desk", "phone", "web"]
    phone, web = key_shown(keys, "abc"), key_shown(keys, "def")
    assert phone == Key.of("abc", "phone", Limits(bytes=5, steps=7))
    assert web is not None
    assert web.limits == Limits(sessions=2, bytes=5, steps=2000)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- abc", "holds no names"),
        ("a: [", "is not valid YAML"),
        ("a: 12345", "key 'a': key: Input should be a valid string"),
        ("a: ''", "key 'a': key: .*at least 1"),
        ("a: {steps: 3}", "key 'a': key: Field required"),
        ("a: {key: topsecret, steps: 0}", "key 'a': steps: .*greater than 0"),
        ("a: {key: topsecret, stepps: 1}", "allowed: sessions, requests, tokens"),
        ("a: sha256:topsecret", "key 'a'"),
        ("desk: topsecret", "two keys are called 'desk'"),
    ],
)
def test_what_is_wrong_is_told_and_no_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(KeyFileError, match=told) as refused:
        keys_of({"desk": "ghi"}, written(tmp_path, text), Limits())
    assert "topsecret" not in str(refused.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"nowhere.*No such file"):
        keys_of({}, tmp_path / "nowhere", Limits())


def test_limits_alone() -> None:
    assert limits_of({"sessions": 4.0, "steps": 10.0}) == Limits(sessions=4, steps=10)
    with pytest.raises(KeyFileError, match=r"limits: colour: .*allowed: sessions"):
        limits_of({"colour": 1})
