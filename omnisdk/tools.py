"""Functions the model may call: `@tool` reads the types and the docstring, the rest is told from them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from omnisdk.errors import OmniError
from omnisdk.media import Image, Speech

P = ParamSpec("P")
R = TypeVar("R")
Output = str | Image | Speech
DEFAULT_TIMEOUT_S = 30.0
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?)\s*:\s*$", re.MULTILINE)
_PARAMETER = re.compile(r"^\s+(\w+)\s*(?:\([^)]*\))?\s*:\s*(.+)$")


class ToolError(OmniError):
    """Raised by a tool: its text goes back to the model, which may try again."""


@dataclass(frozen=True)
class ToolContext:
    """Given to a tool that has a parameter of this type; the model does not see it.

    call_id, name: of the call. deps: whatever the application gave to `Agent.run(deps=...)`.
    """

    call_id: str
    name: str
    deps: Any = None


class Tool(Generic[P, R]):
    """A function with a name, a description and a JSON Schema of its parameters. Called, it is the function itself.

    timeout: seconds. needs_approval: whether the agent asks `approve` before it runs.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        needs_approval: bool = False,
    ) -> None:
        functools.update_wrapper(self, function)
        told, parameters = _documented(inspect.getdoc(function) or "")
        self.function = function
        self.name = name or function.__name__
        self.description = description or told
        self.timeout, self.needs_approval = timeout, needs_approval
        self._context = _context_parameter(function)
        self._arguments = _model_of(function, self.name, parameters, self._context)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of its parameters."""
        return self._arguments.model_json_schema()

    async def run(self, arguments: str, context: ToolContext) -> Output:
        """Call it with a JSON object of arguments. Functions that are not async run in a thread.

        Raises ToolError for arguments that do not fit, when it takes too long, and for whatever it raises.
        """
        given = self._read(arguments)
        if self._context is not None:
            given[self._context] = context
        try:
            async with asyncio.timeout(self.timeout):
                return _told(await self._called(given))
        except ToolError:
            raise
        except TimeoutError:
            raise ToolError(f"{self.name} took longer than {self.timeout:g} s and was stopped") from None
        except Exception as error:
            raise ToolError(f"{self.name} failed: {str(error) or type(error).__name__}") from error

    async def _called(self, given: Mapping[str, Any]) -> Any:
        function: Callable[..., Any] = self.function
        if inspect.iscoroutinefunction(function):
            return await function(**given)
        result = await asyncio.to_thread(functools.partial(function, **given))
        return await result if isinstance(result, Awaitable) else result

    def _read(self, arguments: str) -> dict[str, Any]:
        try:
            read = self._arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ToolError(f"{self.name} cannot be called like that: {problems}") from None
        return {name: getattr(read, name) for name in type(read).model_fields if name in read.model_fields_set}


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, timeout: float = ..., needs_approval: bool = False
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a tool of a function, sync or async. Its docstring describes it, `Args:` its parameters.

    name, description: instead of the function's own. timeout: seconds. needs_approval: see Agent.
    """
    if function is not None:
        return Tool(function)
    return lambda later: Tool(later, **options)


def _documented(docstring: str) -> tuple[str, dict[str, str]]:
    """What a docstring says of the function, and of each parameter."""
    parts = _SECTION.split(docstring)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    told = next((sections[name] for name in ("Args", "Arguments", "Parameters") if name in sections), "")
    described = (_PARAMETER.match(line) for line in told.splitlines())
    return " ".join(parts[0].split()), {match[1]: match[2].strip() for match in described if match}


def _context_parameter(function: Callable[..., Any]) -> str | None:
    return next((name for name, hint in _hints(function).items() if hint is ToolContext and name != "return"), None)


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
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload]
    return model


def _told(result: Any) -> Output:
    """A tool's result as the model is told it: media as they are, words as words, anything else as JSON."""
    if isinstance(result, str | Image | Speech):
        return result
    return "" if result is None else TypeAdapter(type(result)).dump_json(result).decode()
