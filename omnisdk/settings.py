"""What a person may ask of an answer: its parts, its speed and how its partial states are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from omnisdk.errors import SettingsError

OutputModality = Literal["image", "text"]
PartialKind = Literal["off", "tokens", "preview", "both"]


class GenerationSettings(BaseModel):
    """Settings of a session or of one response; None means the server's default.

    output: what the answer may hold. steps: denoise steps of the picture, fewer is faster. seed: repeats an answer.
    partials: what a partial shows. partial_every: one partial each so many steps. deadline_ms: best so far by then.

    Raises SettingsError for an unknown name or a value out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: tuple[OutputModality, ...] | None = Field(default=None, min_length=1)
    steps: int | None = Field(default=None, ge=1, le=100)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    partials: PartialKind | None = None
    partial_every: int | None = Field(default=None, ge=1, le=100)
    deadline_ms: int | None = Field(default=None, ge=1)

    def __init__(
        self,
        *,
        output: Sequence[OutputModality] | None = None,
        steps: int | None = None,
        seed: int | None = None,
        partials: PartialKind | None = None,
        partial_every: int | None = None,
        deadline_ms: int | None = None,
        **unknown: object,
    ) -> None:
        try:
            super().__init__(
                output=output,
                steps=steps,
                seed=seed,
                partials=partials,
                partial_every=partial_every,
                deadline_ms=deadline_ms,
                **unknown,
            )
        except ValidationError as error:
            raise SettingsError(_sentence(error)) from None

    @property
    def given(self) -> dict[str, object]:
        """The settings that were given, by name."""
        return {name: value for name, value in self if value is not None}

    def merged(self, other: GenerationSettings) -> GenerationSettings:
        """These settings with those of `other` laid over them."""
        return GenerationSettings(**{**self.given, **other.given})  # type: ignore[arg-type]


def _sentence(error: ValidationError) -> str:
    return "; ".join(_problem(problem) for problem in error.errors())


def _problem(problem: ErrorDetails) -> str:
    name, told = str(problem["loc"][0]), problem["msg"]
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(GenerationSettings.model_fields)
        return f"there is no setting {name!r}; allowed are {allowed}"
    return f"setting {name!r} got {problem['input']!r}: {told[0].lower()}{told[1:]}"
