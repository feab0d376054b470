"""What a person may ask of an answer: its parts, its speed and how its partial states are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from omnisdk.errors import SettingsError
from omnisdk.protocol import limits
from omnisdk.protocol.settings import CommitRule, ConfidenceRule, OutputModality, PartialKind, Schedule
from omnisdk.structured import OutputType
from omnisdk.tools import Tool


class SlotSettings(BaseModel):
    """The numbers of one slot of a recipe; None means the recipe's own, which `session.capabilities` tells.

    length: positions, exactly so many; the steps keep their share of it unless they are given too. steps: denoise
    steps, fewer is faster; where the recipe's length follows the conversation, those of its longest, of which shorter
    ones take their share.
    schedule: share still masked over progress. confidence: what ranks positions; confidence_noise: noise on the rank;
    prior_weight: how much of what all positions have in common is left out of the rank; 0 is off.
    commit: what a step may fill beyond the schedule ("schedule": nothing): "threshold", candidates of probability
    `commit_bound` or more; "entropy_bound", while their entropies add up to as many nats or less; "certain_answer",
    everything once every position prefers its best token by as much; "stable_prefix", from the left, for answers that
    are read or heard while they form. revise_below: what was filled with less confidence is opened again once.
    refresh_every: what changes little is worked out anew every so many steps, which is faster and not exact; 1 is off.
    temperature: 0 takes the best token, more samples. top_k, top_p: how many of the likeliest tokens are left to
    choose from; 0 and 1 are off. repeat_penalty, position_penalty: against tokens that stand there already and
    against filling late positions early; 1 is off. hypotheses: answers of a text slot tried side by side, of which the
    one is taken that best explains the picture or the recording given; 1 is off, as it is where any other number but
    the length is given. guidance_scale: how much the request counts; 0 is off.

    Raises SettingsError for an unknown name or a value out of range.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    length: int | None = Field(default=None, ge=1, le=limits.MAX_SLOT_LENGTH)
    steps: int | None = Field(default=None, ge=1, le=limits.MAX_SLOT_STEPS)
    schedule: Schedule | None = None
    confidence: ConfidenceRule | None = None
    confidence_noise: float | None = Field(default=None, ge=0, le=limits.MAX_CONFIDENCE_NOISE)
    prior_weight: float | None = Field(default=None, ge=0, le=limits.MAX_PRIOR_WEIGHT)
    commit: CommitRule | None = None
    commit_bound: float | None = Field(default=None, ge=0, le=limits.MAX_COMMIT_BOUND)
    revise_below: float | None = Field(default=None, ge=0, le=1)
    refresh_every: int | None = Field(default=None, ge=1, le=limits.MAX_STEPS)
    temperature: float | None = Field(default=None, ge=0, le=limits.MAX_TEMPERATURE)
    top_k: int | None = Field(default=None, ge=0, le=limits.MAX_TOP_K)
    top_p: float | None = Field(default=None, gt=0, le=1)
    repeat_penalty: float | None = Field(default=None, ge=limits.MIN_PENALTY, le=limits.MAX_PENALTY)
    position_penalty: float | None = Field(default=None, ge=limits.MIN_PENALTY, le=limits.MAX_PENALTY)
    hypotheses: int | None = Field(default=None, ge=1, le=limits.MAX_HYPOTHESES)
    guidance_scale: float | None = Field(default=None, ge=0, le=limits.MAX_GUIDANCE_SCALE)

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, given: Any, check: ModelWrapValidatorHandler[SlotSettings]) -> SlotSettings:
        try:
            return check(given)
        except ValidationError as error:
            raise SettingsError(_sentence(error, cls)) from None

    @property
    def given(self) -> dict[str, object]:
        """The settings that were given, by name."""
        return {name: value for name, value in self if value is not None}

    def merged(self, other: SlotSettings) -> SlotSettings:
        """These settings with those of `other` laid over them."""
        return SlotSettings.model_validate({**self.given, **other.given})


class NumberKeywords(TypedDict, total=False):
    """What may be given of any answer; GenerationSettings says what each means."""

    recipe: str | None
    steps: int | None
    slots: Mapping[str, SlotSettings | Mapping[str, object]] | None
    seed: int | None
    partials: PartialKind | None
    partial_every: int | None
    deadline_ms: int | None
    tool_choice: str | None


class SharedKeywords(NumberKeywords, total=False):
    """What a session and a single answer may be given alike."""

    tools: Sequence[Tool] | None


class SessionKeywords(SharedKeywords, total=False):
    """Keywords of `client.session`."""

    output: Sequence[OutputModality] | None


class AnswerKeywords(SharedKeywords, total=False):
    """Keywords of `respond`."""

    output: Sequence[OutputModality] | type[object] | OutputType[object] | None


class GenerationSettings(BaseModel):
    """Settings of a session or of one response; None means the server's default.

    output: what the answer may hold; where the model cannot make all of it at once, what comes first counts most. Or
    a type, a pydantic model say: the answer is then filled into its form, of one answer only.
    recipe: the model's recipe by name, whatever output says; by default it follows from what is said and wanted.
    steps: denoise steps of the picture, fewer is faster. slots: the numbers of single slots, as in
    slots={"image": SlotSettings(steps=24, temperature=0.7)}; they go before `steps`. seed: repeats an answer.
    tools: functions the model may call; tool_choice: "auto", "none", "required" or the name of one.
    partials: what a partial shows. partial_every: one partial each so many steps. deadline_ms: best so far by then.

    Raises SettingsError for an unknown name or a value out of range.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    output: tuple[OutputModality, ...] | None = Field(default=None, min_length=1)
    recipe: str | None = Field(default=None, min_length=1)
    steps: int | None = Field(default=None, ge=limits.MIN_STEPS, le=limits.MAX_STEPS)
    slots: dict[str, SlotSettings] | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    partials: PartialKind | None = None
    partial_every: int | None = Field(default=None, ge=1, le=limits.MAX_STEPS)
    deadline_ms: int | None = Field(default=None, ge=1)
    output_type: OutputType[object] | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | None = None

    def __init__(
        self,
        *,
        output: Sequence[OutputModality] | OutputType[object] | type[object] | None = None,
        recipe: str | None = None,
        steps: int | None = None,
        slots: Mapping[str, SlotSettings | Mapping[str, object]] | None = None,
        seed: int | None = None,
        partials: PartialKind | None = None,
        partial_every: int | None = None,
        deadline_ms: int | None = None,
        tools: Sequence[Tool] | None = None,
        tool_choice: str | None = None,
        **unknown: object,
    ) -> None:
        if isinstance(output, str):
            raise SettingsError(
                f'setting \'output\' got {output!r}; give a list, as in output=["image", "text"], or a type'
            )
        plain = output is None or isinstance(output, Sequence)
        form = None if plain else output if isinstance(output, OutputType) else OutputType(cast(type[object], output))
        if form is not None and (tools or tool_choice):
            raise SettingsError("an answer of a type calls no tools; ask for one thing at a time")
        try:
            super().__init__(
                output=output if plain else None,
                output_type=form,
                recipe=recipe,
                steps=steps,
                slots=slots,
                seed=seed,
                partials=partials,
                partial_every=partial_every,
                deadline_ms=deadline_ms,
                tools=tools,
                tool_choice=tool_choice,
                **unknown,
            )
        except ValidationError as error:
            raise SettingsError(_sentence(error, GenerationSettings)) from None

    @field_validator("slots", mode="before")
    @classmethod
    def _named(cls, slots: object) -> object:
        """Each slot checked by itself, so that the error names it."""
        return {name: _slot(name, given) for name, given in slots.items()} if isinstance(slots, Mapping) else slots

    @property
    def given(self) -> dict[str, object]:
        """The settings that were given, by name."""
        told = {name: value for name, value in self if value is not None}
        return {"output" if name == "output_type" else name: value for name, value in told.items()}

    def merged(self, other: GenerationSettings) -> GenerationSettings:
        """These settings with those of `other` laid over them, slots one by one."""
        slots = dict(self.slots or {})
        for name, settings in (other.slots or {}).items():
            slots[name] = slots.get(name, SlotSettings()).merged(settings)
        return GenerationSettings(**{**self.given, **other.given, "slots": slots or None})  # type: ignore[arg-type]


def _slot(name: object, given: object) -> SlotSettings:
    try:
        return SlotSettings.model_validate(given)
    except SettingsError as error:
        raise SettingsError(f"slot {name!r}: {error}") from None


def _sentence(error: ValidationError, settings: type[BaseModel]) -> str:
    """What is wrong: of a list, with what is in it before what is left of it."""
    inner = {problem["loc"][0] for problem in error.errors() if len(problem["loc"]) > 1}
    told = [problem for problem in error.errors() if len(problem["loc"]) != 1 or problem["loc"][0] not in inner]
    return "; ".join(_problem(problem, settings) for problem in told)


def _names(settings: type[BaseModel]) -> list[str]:
    return [name for name in settings.model_fields if name != "output_type"]  # given as output


def _problem(problem: ErrorDetails, settings: type[BaseModel]) -> str:
    told = f"{problem['msg'][0].lower()}{problem['msg'][1:]}"
    if not problem["loc"]:
        return f"{problem['input']!r} came: {told}"
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return f"there is no setting {name!r}; allowed are {', '.join(_names(settings))}"
    return f"setting {name!r} got {problem['input']!r}: {told}"
