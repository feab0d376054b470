"""How a runtime is served: read from options first, then from the environment (OMNI_HOST, OMNI_PORT, ...)."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

EMBEDDED_MODEL = Path(__file__).with_name("embedded")
ENVIRONMENT_PREFIX = "OMNI_"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class SettingsError(ValueError):
    """A setting is unknown or out of range; the message names the setting, what came and what is allowed."""


class ServeSettings(BaseModel):
    """What a person may set of a server.

    host, port: where it listens; port 0 takes any free one. model: model file or its folder. device: torch's name of
    where the networks run. threads: of the forward pass, None leaves the choice to torch. compile: whether torch
    compiles the network first, which takes minutes. api_key: what clients must send; api_keys: more of
    them, by name; key_file: more still, and what each may take (`runtime.server.key_file`); without any, everybody may
    come in. limits: what a key may take that has none of its own, or everybody together.
    max_sessions: sockets open at a time. allowed_hosts: names the server may be called by, "*" for any; None allows
    this machine's own names on a loopback address and any name elsewhere. allowed_origins: pages of other servers that
    may connect. In the environment, lists are separated by commas. Seconds: resume_window_s, how long a session waits
    for its client when the socket was lost; idle_timeout_s and max_session_s, after which a session is closed that is
    not used, or in any case; drain_s, how long answers may still take when the server is stopped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8765, ge=0, le=65535)
    model: Path = EMBEDDED_MODEL
    device: str = "cpu"
    threads: int | None = Field(default=None, ge=1, le=1024)
    compile: bool = False
    api_key: SecretStr | None = None
    api_keys: dict[str, SecretStr] = {}
    key_file: Path | None = None
    limits: dict[str, float] = {}
    max_sessions: int = Field(default=64, ge=1, le=100_000)
    resume_window_s: float = Field(default=60.0, ge=0, le=86_400)
    idle_timeout_s: float | None = Field(default=None, gt=0)
    max_session_s: float | None = Field(default=None, gt=0)
    drain_s: float = Field(default=10.0, ge=0, le=3_600)
    allowed_hosts: tuple[str, ...] | None = None
    allowed_origins: tuple[str, ...] = ()

    @property
    def on_loopback(self) -> bool:
        """Whether only programs of this machine can connect."""
        return self.host in LOOPBACK_HOSTS or self.host.startswith("127.")

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, names: object) -> object:
        return tuple(filter(None, map(str.strip, names.split(",")))) if isinstance(names, str) else names

    @field_validator("api_keys", "limits", mode="before")
    @classmethod
    def _named(cls, pairs: object) -> object:
        """As in "phone=…,web=…"."""
        if not isinstance(pairs, str):
            return pairs
        split = [pair.partition("=") for pair in filter(None, map(str.strip, pairs.split(",")))]
        if not all(equals for _, equals, _ in split):
            raise ValueError("is not of the form name=value,name=value")
        return {name.strip(): value.strip() for name, _, value in split}

    @field_validator("api_key")
    @classmethod
    def _not_blank(cls, key: SecretStr | None) -> SecretStr | None:
        """An empty variable in a shell script must not open the door by accident, nor pass as a key."""
        if key is not None and not key.get_secret_value().strip():
            raise ValueError("is empty; give a key, or leave it out to let everybody in")
        return key


def read_settings(options: Mapping[str, object], environment: Mapping[str, str] | None = None) -> ServeSettings:
    """The settings: `options` that are not None, then the environment's OMNI_ variables, then the defaults.

    Raises SettingsError.
    """
    variables = os.environ if environment is None else environment
    given: dict[str, object] = {}
    for name in ServeSettings.model_fields:
        variable = ENVIRONMENT_PREFIX + name.upper()
        if options.get(name) is not None:
            given[name] = options[name]
        elif variable in variables:
            given[name] = variables[variable]
    unknown = sorted(set(options) - set(ServeSettings.model_fields))
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; allowed: {', '.join(ServeSettings.model_fields)}")
    try:
        return ServeSettings.model_validate(given)
    except ValidationError as error:
        raise SettingsError(_sentence(error, options)) from None


def _sentence(error: ValidationError, options: Mapping[str, object]) -> str:
    """The first problem, with the name the person used: the option's or the variable's."""
    problem = error.errors(include_url=False, include_input=True)[0]
    name = str(problem["loc"][0])
    source = name if options.get(name) is not None else ENVIRONMENT_PREFIX + name.upper()
    came = "" if name.startswith("api_key") else f" {problem['input']!r}"
    return f"{source}{came}: {problem['msg'].removeprefix('Value error, ')}"
