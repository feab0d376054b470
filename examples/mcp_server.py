"""Tools of an MCP server, called by the model as if they were ours. Needs `pip install "omnisdk[mcp]"`."""

from __future__ import annotations

import sys

from omnisdk import Agent, Client, mcp_tools


def main(server: str, words: str, url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni, omni.enter(mcp_tools(server)) as tools:
        print("tools:", ", ".join(tool.name for tool in tools))
        result = Agent(omni, tools=tools, output=["text"]).run_sync(words)
        for called in result.tool_calls:
            print(f"{called.call} -> {called.output}")
        print(result.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
