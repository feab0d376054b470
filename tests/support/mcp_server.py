"""A small MCP server, to be run as a program or in this process."""

import base64
import sys
from enum import StrEnum
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

server = MCPServer("shop")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


@server.tool()
def order(dish: Annotated[str, Field(min_length=1, pattern="^[a-z]*$")], size: Size) -> str:
    """Order a dish."""
    return f"one {size} {dish}"


@server.tool(structured_output=False)
def photograph() -> list[object]:
    """Take a photograph."""
    return ["the shop", Image(data=PIXEL, format="png")]


@server.tool()
def burn() -> str:
    """Burn the dish."""
    raise ToolError("the stove is cold")


@server.tool()
async def knead(ctx: Context) -> str:
    """Knead the dough."""
    await ctx.report_progress(1, 2, "half done")
    return "kneaded"


if __name__ == "__main__":
    server.run(*sys.argv[1:])
