"""Functions the model may call: `@tool` reads the types and the docstring, the rest is told from them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Literal, ParamSpec, TypedDict, Unpack, get_origin, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypeVar  # with defaults

from omnisdk.errors import OmniError, SchemaError
from omnisdk.media import Image, Speech
from omnisdk.schema import fillable
from omnisdk.threads import in_thread, steps_in_thread

P = ParamSpec("P")
R = TypeVar("R")
Deps = TypeVar("Deps", covariant=True, default=object)
Output = str | Image | Speech | tuple[str | Image | Speech, ...]
OnInterrupt = Literal["finish", "cancel"]
Reply = Literal["when_idle", "interrupt", "silent"]
OnError = Literal["tell", "raise"]
TellProgress = Callable[[object], None]
DEFAULT_TIMEOUT_S = 30.0
OPTIONS = frozenset(
    ["name", "description", "timeout", "retries", "needs_approval", "on_interrupt", "reply", "on_error"]
)
_ALLOWED = "Use str, int, float, bool, Literal, an Enum, a list or a pydantic model."
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?)\s*:\s*$", re.MULTILINE)
_PARAMETER = re.compile(r"^\s+(\w+)\s*(?:\([^)]*\))?\s*:\s*(.+)$")


class ToolError(OmniError):
    """Raised by a tool: its text goes back to the model, which may try again."""


@dataclass(frozen=True)
class ToolContext(Generic[Deps]):
    """Given to a tool that has a parameter of this type; the model does not see it.

    call_id, name: of the call. deps: whatever the application gave to `Agent.run(deps=...)`; ToolContext[House] for a
    tool that expects a House there.
    """

    call_id: str
    name: str
    deps: Deps = None  # type: ignore[assignment]


class Tool(ABC):
    """Anything the model may call: a function of ours (`@tool`), or a tool of an MCP server.

    schema: JSON Schema of its parameters, an object. timeout: seconds. retries: how often it is run again when it fails
    or takes too long; a ToolError is not. needs_approval: whether the agent asks `approve` before it runs.
    on_error: whether the model is told what went wrong, or the run ends with ToolError. Of a live conversation,
    on_interrupt: what becomes of it when the user speaks meanwhile; reply: how its output is answered when the user has
    spoken since, "when_idle", once nobody speaks, "interrupt", at once, or never, "silent": it is only told.
    """

    name: str
    description: str
    schema: dict[str, object]
    timeout: float = DEFAULT_TIMEOUT_S
    retries: int = 0
    needs_approval: bool = False
    on_interrupt: OnInterrupt = "finish"
    reply: Reply = "when_idle"
    on_error: OnError = "tell"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    async def run(self, arguments: str, context: ToolContext, progress: TellProgress | None = None) -> Output:
        """Call it with a JSON object of arguments.

        progress: told what the tool yields on the way. Raises ToolError for arguments that do not fit, when it takes
        too long, and for whatever it raises.
        """
        given = self._read(arguments)
        for left in range(self.retries, -1, -1):
            try:
                async with asyncio.timeout(self.timeout) as deadline:
                    result = await self._called(given, context, progress or _nobody)
                if deadline.expired():  # it did not let itself be stopped
                    raise TimeoutError
                return _told(result)
            except ToolError:
                raise
            except TimeoutError:
                if not left:
                    raise ToolError(f"{self.name} took longer than {self.timeout:g} s and was stopped") from None
            except Exception as error:  # whatever the function of a user raises
                if not left:
                    raise ToolError(f"{self.name} failed: {str(error) or type(error).__name__}") from error
        raise AssertionError("the last try gives or raises")

    @abstractmethod
    def _read(self, arguments: str) -> dict[str, Any]:
        """The arguments by name. Raises ToolError."""

    @abstractmethod
    async def _called(self, given: dict[str, Any], context: ToolContext, progress: TellProgress) -> object: ...


class ToolOptions(TypedDict, total=False):
    """What Tool says of each."""

    timeout: float
    retries: int
    needs_approval: bool
    on_interrupt: OnInterrupt
    reply: Reply
    on_error: OnError


class FunctionTool(Tool, Generic[P, R]):
    """A function with a name, a description and a JSON Schema of its parameters. Called, it is the function itself.

    Functions that are not async run in a thread. What a generator yields is progress, the last of it the output.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        **options: Unpack[ToolOptions],
    ) -> None:
        if not callable(function):
            raise OmniError(f"{function!r} came as a tool; give a typed function")
        functools.update_wrapper(self, function)
        told, parameters = _documented(inspect.getdoc(function) or "")
        self.function = function
        self.name: str = name or function.__name__
        self.description: str = description or told
        for option, value in options.items():
            setattr(self, option, value)
        self._context = _context_parameter(function)
        self._arguments = _model_of(function, self.name, parameters, self._context)
        self.schema: dict[str, object] = fillable(_schema_of(self._arguments), f"tool {self.name}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    async def _called(self, given: dict[str, Any], context: ToolContext, progress: TellProgress) -> object:
        function: Callable[..., Any] = self.function
        arguments = given if self._context is None else {**given, self._context: context}
        if inspect.isasyncgenfunction(function):
            return await last(function(**arguments), progress)
        if inspect.isgeneratorfunction(function):
            return await last(steps_in_thread(function(**arguments)), progress)
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        result = await in_thread(functools.partial(function, **arguments))
        return await result if isinstance(result, Awaitable) else result

    def _read(self, arguments: str) -> dict[str, Any]:
        try:
            read = self._arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ToolError(f"{self.name} cannot be called like that: {problems}") from None
        return {name: getattr(read, name) for name in type(read).model_fields if name in read.model_fields_set}


async def last(steps: AsyncGenerator[Any, None], progress: TellProgress) -> object:
    """What a generator yields last; all before it is progress."""
    newest: object = None
    async with aclosing(steps):
        first = True
        async for step in steps:
            if not first:
                progress(newest)
            newest, first = step, False
    return newest


def _nobody(_progress: object) -> None:
    """Nobody is told of progress."""


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = ...,
    retries: int = ...,
    needs_approval: bool = ...,
    on_interrupt: OnInterrupt = ...,
    reply: Reply = ...,
    on_error: OnError = ...,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a tool of a function, sync or async. Its docstring describes it, `Args:` its parameters.

    name, description: instead of the function's own. The other options are those of Tool.
    """
    if function is not None:
        return FunctionTool(function)
    unknown = options.keys() - OPTIONS
    if unknown:
        raise OmniError(f"a tool has no option {', '.join(sorted(unknown))}; allowed are {', '.join(sorted(OPTIONS))}")
    return lambda later: FunctionTool(later, **options)


def _documented(docstring: str) -> tuple[str, dict[str, str]]:
    """What a docstring says of the function, and of each parameter."""
    parts = _SECTION.split(docstring)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    told = next((sections[name] for name in ("Args", "Arguments", "Parameters") if name in sections), "")
    described = (_PARAMETER.match(line) for line in told.splitlines())
    return " ".join(parts[0].split()), {match[1]: match[2].strip() for match in described if match}


def _context_parameter(function: Callable[..., Any]) -> str | None:
    return next(
        (
            name
            for name, hint in _hints(function).items()
            if (get_origin(hint) or hint) is ToolContext and name != "return"
        ),
        None,
    )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise OmniError(
            f"tool {function.__name__}: {error}; the types of its parameters must be names of its module"
        ) from None


def _model_of(
    function: Callable[..., Any], name: str, described: Mapping[str, str], context: str | None
) -> type[BaseModel]:
    """A pydantic model with a field for each parameter."""
    hints, fields = _hints(function), {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == context:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise OmniError(
                f"tool {name}: parameter {parameter} cannot be named by a model; give it a name and a type of its own"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        field = Field(default, description=described.get(parameter.name))
        fields[parameter.name] = (hints.get(parameter.name, str), field)
    try:
        model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload]
    except PydanticSchemaGenerationError as error:
        raise SchemaError(f"tool {name}: {str(error).splitlines()[0]} {_ALLOWED}") from None
    return model


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise SchemaError(f"tool {model.__name__}: {error.message} {_ALLOWED}") from None


def _told(result: Any) -> Output:
    """A tool's result as the model is told it: media as they are, words as words, anything else as JSON."""
    if isinstance(result, str | Image | Speech):
        return result
    if isinstance(result, tuple) and result and all(isinstance(part, str | Image | Speech) for part in result):
        return result
    if result is None:
        return ""
    try:
        return TypeAdapter(type(result)).dump_json(result).decode()
    except (PydanticSchemaGenerationError, PydanticSerializationError):
        raise TypeError(
            f"its result, of type {type(result).__name__}, cannot be told; give text, numbers, a pydantic model, "
            "a dataclass, Image or Speech"
        ) from None
