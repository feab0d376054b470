"""Tools of MCP servers, as if they were ours. Needs the package `mcp`: pip install "omnisdk[mcp]"."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from omnisdk.errors import OmniError
from omnisdk.media import Image, Speech
from omnisdk.protocol.formats import FORMATS
from omnisdk.schema import fillable
from omnisdk.tools import Output, TellProgress, Tool, ToolContext, ToolError

if TYPE_CHECKING:
    import mcp
    from mcp.types import CallToolResult, ContentBlock

_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
UNFILLABLE = ("pattern", "format", "minLength")  # the tool's own server checks them


class McpTool(Tool):
    """A tool of an MCP server; its client has to be open while it is called."""

    def __init__(self, client: mcp.Client, name: str, description: str, schema: Mapping[str, Any]) -> None:
        self._client, self._remote_name = client, name
        self.name: str = _NO_NAME.sub("_", name)[:128]
        self.description: str = description
        self.schema: dict[str, object] = _fillable(schema)

    def _read(self, arguments: str) -> dict[str, Any]:
        try:
            given = json.loads(arguments or "{}")
        except ValueError as error:
            raise ToolError(f"{self.name} cannot be called like that: {error}") from None
        if not isinstance(given, dict):
            raise ToolError(f"{self.name} cannot be called like that: {arguments[:80]} is no object")
        return given

    async def _called(self, given: dict[str, Any], context: ToolContext, progress: TellProgress) -> object:
        result = await self._client.call_tool(self._remote_name, given, progress_callback=partial(_tell, progress))
        output = _output(result)
        if result.is_error:
            raise ToolError(f"{self.name} failed: {output}")
        return output


async def _tell(tell: TellProgress, progress: float, total: float | None, message: str | None) -> None:
    tell(message or (f"{progress:g}" if total is None else f"{progress:g} of {total:g}"))


@asynccontextmanager
async def mcp_tools(
    server: str | Sequence[str] | object,
    *,
    only: Sequence[str] | None = None,
    timeout: float | None = None,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[list[Tool]]:
    """`async with mcp_tools("npx -y @modelcontextprotocol/server-everything") as tools:`.

    server: a command (words or one string) that speaks over its standard input and output; the address
    of a streamable HTTP server; or an `mcp.server.MCPServer` of this process. only: names of the tools to take.
    timeout: seconds a call may take. headers: of an address, {"Authorization": "Bearer ..."}; env: of a command, beside
    the few variables that every program is given. With a sync Client: `with omni.enter(mcp_tools(...)) as tools:`.
    Raises OmniError when the server cannot be reached or has not the tools.
    """
    try:
        import mcp
    except ImportError:
        raise OmniError('tools of MCP servers need the package mcp; pip install "omnisdk[mcp]"') from None
    client = mcp.Client(_transport(server, headers, env))
    try:
        await client.__aenter__()
    except Exception as error:  # noqa: BLE001 - of a transport, of the protocol, of a group of tasks
        raise OmniError(
            f"the MCP server {server!r} cannot be used ({_cause(error)}); check the command or the address"
        ) from None
    try:
        found = [
            McpTool(client, tool.name, tool.description or "", tool.input_schema) for tool in await _listed(client)
        ]
        for tool in found:
            tool.timeout = tool.timeout if timeout is None else timeout
        yield _chosen(found, only)
    finally:
        await client.__aexit__(None, None, None)


def _transport(
    server: str | Sequence[str] | object, headers: Mapping[str, str] | None, env: Mapping[str, str] | None
) -> Any:
    import mcp

    over_http = isinstance(server, str) and server.startswith(("http://", "https://"))
    is_command = isinstance(server, str | Sequence) and not over_http
    if headers is not None and not over_http:
        raise OmniError("headers came, which belong to an http address; a command takes env={...}")
    if env is not None and not is_command:
        raise OmniError("env came, which belongs to a command; an http address takes headers={...}")
    if over_http:
        return server if headers is None else _over_http(str(server), headers)
    if not isinstance(server, str | Sequence):
        return server
    words = shlex.split(server) if isinstance(server, str) else list(server)
    if not words:
        raise OmniError("an empty command names no MCP server; give a command or an http address")
    return mcp.StdioServerParameters(command=words[0], args=words[1:], env=None if env is None else dict(env))


@asynccontextmanager
async def _over_http(url: str, headers: Mapping[str, str]) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    timeout = httpx2.Timeout(30, read=300)  # as the package's own: events may be long in coming
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=timeout) as http,
        streamable_http_client(url, http_client=http) as streams,
    ):
        yield streams


async def _listed(client: mcp.Client) -> list[Any]:
    tools, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return tools


def _chosen(tools: list[McpTool], only: Sequence[str] | None) -> list[Tool]:
    missing = sorted(set(only or ()) - {tool.name for tool in tools})
    if missing:
        there = ", ".join(tool.name for tool in tools) or "none"
        raise OmniError(f"the MCP server has no tool {', '.join(missing)}; there are {there}")
    chosen = [tool for tool in tools if only is None or tool.name in only]
    for tool in chosen:
        fillable(tool.schema, f"tool {tool.name} of the MCP server cannot be called; name the others in only=[...]")
    return list(chosen)


def _fillable(schema: Any) -> Any:
    """The schema without what cannot be promised by filling in; names of properties are left alone."""
    if isinstance(schema, list):
        return [_fillable(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = ("format",) if schema.get("format") in FORMATS else ()
    left = {name: part for name, part in schema.items() if name not in UNFILLABLE or name in kept}
    named = ("properties", "$defs", "definitions")
    return {
        name: {key: _fillable(value) for key, value in part.items()}
        if name in named and isinstance(part, Mapping)
        else part
        if name in ("enum", "const", "default")
        else _fillable(part)
        for name, part in left.items()
    }


def _output(result: CallToolResult) -> Output:
    parts = tuple(map(_part, result.content))
    if all(isinstance(part, str) for part in parts):
        return "\n".join(map(str, parts))
    return parts[0] if len(parts) == 1 else parts


def _part(block: ContentBlock) -> str | Image | Speech:
    match block.type:
        case "text":
            return block.text
        case "image":
            return Image(base64.b64decode(block.data))
        case "audio":
            return Speech(base64.b64decode(block.data))
        case "resource_link":
            return f"{block.name}: {block.uri}"
        case "resource":
            return getattr(block.resource, "text", str(block.resource.uri))


def _cause(error: BaseException) -> str:
    """What went wrong, under the groups that wrap it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
