"""Tools of real MCP servers: of a program, over HTTP and of this process."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from omnisdk.agent import Agent
from omnisdk.client import AsyncClient, Client
from omnisdk.errors import OmniError, SchemaError
from omnisdk.mcp import _fillable, mcp_tools
from omnisdk.media import Image
from omnisdk.tools import ToolContext, ToolError
from tests.support import mcp_server
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio
PROGRAM = [sys.executable, str(Path(mcp_server.__file__).resolve())]
CONTEXT = ToolContext("call_1", "order")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    texts = {"text": "here you are", "arguments.dish": "soup", "arguments.size": '"large"'}
    with serving(ScriptedEngine(texts=texts)) as url:
        yield url


async def test_a_program(url: str) -> None:
    async with mcp_tools(PROGRAM, only=["order"]) as tools:
        result = await Agent(AsyncClient(url), tools=tools).run("order a large soup")
    assert [called.output for called in result.tool_calls] == ["one large soup"]


async def test_a_server_over_http() -> None:
    with _http_server() as address:
        async with mcp_tools(address) as tools:
            assert {tool.name for tool in tools} == {"order", "photograph", "burn", "knead"}
            order = next(tool for tool in tools if tool.name == "order")
            assert await order.run('{"dish": "pie", "size": "small"}', CONTEXT) == "one small pie"


async def test_what_a_tool_gives() -> None:
    async with mcp_tools(mcp_server.server) as tools:
        named = {tool.name: tool for tool in tools}
        words, picture = await named["photograph"].run("{}", CONTEXT)
        assert words == "the shop"
        assert isinstance(picture, Image)
        with pytest.raises(ToolError, match=r"burn failed: .*the stove is cold"):
            await named["burn"].run("{}", CONTEXT)
        with pytest.raises(ToolError, match="order failed"):
            await named["order"].run('{"dish": "2", "size": "huge"}', CONTEXT)
        with pytest.raises(ToolError, match="no object"):
            await named["order"].run("[]", CONTEXT)
        told: list[Any] = []
        assert await named["knead"].run("{}", CONTEXT, told.append) == "kneaded"
        assert told == ["half done"]


async def test_schemas_hold_only_what_can_be_filled() -> None:
    async with mcp_tools(mcp_server.server, only=["order"], timeout=3) as (order,):
        assert order.timeout == 3
        assert not {"pattern", "minLength"} & set(order.schema["properties"]["dish"])
        assert "enum" in json.dumps(order.schema)


def test_with_a_sync_client(url: str) -> None:
    with Client(url) as omni, omni.enter(mcp_tools(PROGRAM, only=["order"])) as tools:
        result = Agent(omni, tools=tools).run_sync("order a large soup")
    assert result.tool_calls[0].output == "one large soup"


@pytest.mark.parametrize(
    ("server", "told"),
    [("", "empty command"), ("no-such-program x", "cannot be used"), ("http://127.0.0.1:9/mcp", "cannot be used")],
)
async def test_a_server_that_is_not_there(server: str, told: str) -> None:
    with pytest.raises(OmniError, match=told):
        async with mcp_tools(server):
            pass


async def test_headers_reach_a_server_over_http() -> None:
    asked: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OmniError, match="cannot be used"):
            async with mcp_tools(f"http://127.0.0.1:{port}/mcp", headers={"Authorization": "Bearer k"}):
                pass
    assert "authorization: bearer k" in asked[0]


async def test_a_program_gets_its_environment(tmp_path: Path) -> None:
    code = "import os, pathlib; pathlib.Path(os.environ['WHERE']).write_text(os.environ['KEY'])"
    with pytest.raises(OmniError, match="cannot be used"):
        async with mcp_tools([sys.executable, "-c", code], env={"WHERE": str(tmp_path / "seen"), "KEY": "k"}):
            pass
    assert (tmp_path / "seen").read_text() == "k"


@pytest.mark.parametrize(
    ("server", "given", "told"),
    [
        ("npx x", {"headers": {"a": "b"}}, "headers came, which belong to an http address"),
        ("http://127.0.0.1:9/mcp", {"env": {"a": "b"}}, "env came, which belongs to a command"),
        (mcp_server.server, {"env": {"a": "b"}}, "env came, which belongs to a command"),
    ],
)
async def test_what_belongs_to_another_kind_of_server(server: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(OmniError, match=told):
        async with mcp_tools(server, **given):
            pass


async def test_a_tool_that_is_not_there() -> None:
    with pytest.raises(OmniError, match="no tool fly; there are order"):
        async with mcp_tools(mcp_server.server, only=["fly"]):
            pass


class _http_server:  # noqa: N801 - used as a function
    def __enter__(self) -> str:
        import socket
        import subprocess
        import time

        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        code = f"from tests.support.mcp_server import server; server.run('streamable-http', port={port})"
        self._process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        for _ in range(800):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        return f"http://127.0.0.1:{port}/mcp"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)


class Deep(BaseModel):
    inner: "Deep"


async def test_a_tool_no_model_can_fill_in() -> None:
    server = type(mcp_server.server)("endless")

    @server.tool()
    def endless(deep: Deep) -> str:
        return ""

    @server.tool()
    def fine() -> str:
        return "fine"

    with pytest.raises(SchemaError, match=r"tool endless of the MCP server cannot be called; name the others .*nested"):
        async with mcp_tools(server):
            pass
    async with mcp_tools(server, only=["fine"]) as tools:
        assert await tools[0].run("{}", CONTEXT) == "fine"


def test_formats_that_have_a_shape_stay() -> None:
    told = {name: {"type": "string", "format": name} for name in ("date", "email")}
    left = _fillable({"type": "object", "properties": told})
    assert left["properties"] == {"date": told["date"], "email": {"type": "string"}}
