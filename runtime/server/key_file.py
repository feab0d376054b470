"""Keys and limits as a person writes them.

A key file is YAML, names to keys, or to a key and what it may take:

    phone: sha256:9f86d081…
    web:
      key: a-long-random-text
      sessions: 2
      steps: 2000
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from runtime.server.keys import Key, Limits

HOW = "write one line a key, as in `phone: a-long-random-text`"


class KeyFileError(ValueError):
    """What is wrong with a key, a limit or the file, without telling any key."""


class LimitsEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sessions: int | None = Field(default=None, ge=1)
    requests: float | None = Field(default=None, gt=0)
    tokens: float | None = Field(default=None, gt=0)
    bytes: float | None = Field(default=None, gt=0)
    pixels: float | None = Field(default=None, gt=0)
    audio_seconds: float | None = Field(default=None, gt=0)
    steps: float | None = Field(default=None, gt=0)


class KeyEntry(LimitsEntry):
    key: SecretStr = Field(min_length=1)


def limits_of(given: Mapping[str, object]) -> Limits:
    """Raises KeyFileError."""
    try:
        return Limits(**LimitsEntry.model_validate(given).model_dump())
    except ValidationError as error:
        raise KeyFileError(f"limits: {_problem(error)}") from None


def keys_of(given: Mapping[str, str], file: Path | None, limits: Limits) -> tuple[Key, ...]:
    """Those that were given, and those of the file. limits: of keys that name none. Raises KeyFileError."""
    entries: dict[str, Any] = {} if file is None else _read(file)
    twice = sorted(given.keys() & entries.keys())
    if twice:
        raise KeyFileError(f"two keys are called {twice[0]!r}; give each its own name")
    return tuple(_key(name, entry, limits) for name, entry in {**given, **entries}.items())


def _read(file: Path) -> dict[str, Any]:
    try:
        entries = yaml.safe_load(file.read_text())
    except OSError as problem:
        raise KeyFileError(f"{file}: {problem.strerror or problem}") from None
    except (yaml.YAMLError, UnicodeError):
        raise KeyFileError(
            f"{file} is not valid YAML; write one line a key, as in `phone: a-long-random-text`"
        ) from None
    if not isinstance(entries, dict):
        raise KeyFileError(f"{file} holds no names; {HOW}")
    return entries


def _key(name: object, entry: object, limits: Limits) -> Key:
    try:
        read = KeyEntry.model_validate(entry if isinstance(entry, dict) else {"key": entry})
    except ValidationError as error:
        raise KeyFileError(f"key {name!r}: {_problem(error)}") from None
    own = read.model_dump(exclude={"key"}, exclude_none=True)
    try:
        return Key.of(read.key.get_secret_value(), str(name), Limits(**{**asdict(limits), **own}))
    except ValueError as error:
        raise KeyFileError(f"key {name!r}: {error}") from None


def _problem(error: ValidationError) -> str:
    """The first, without what came: it may be a key."""
    first = error.errors(include_url=False, include_input=False)[0]
    allowed = ", ".join(LimitsEntry.model_fields)
    advice = f"; allowed: {allowed}" if first["type"] == "extra_forbidden" else ""
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}{advice}"
