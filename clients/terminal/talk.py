"""`omni chat`: type a request, see the picture form; one live session for the whole talk."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from clients.terminal.demo import one_line, watch
from clients.terminal.view import View, view_for
from omnisdk.client import AsyncClient
from omnisdk.conversation import PartLike
from omnisdk.errors import ConnectionLost, OmniError
from omnisdk.media import Image, Speech
from omnisdk.session import AsyncSession

HELP = (
    "type a request; /wav FILE says a recording, /image FILE shows a picture for the next line, "
    "/ask QUESTION asks about the last picture, /quit ends"
)


@click.command("chat")
@click.option("--url", help="Use this server instead of starting a runtime here.")
@click.option("--api-key", envvar="OMNI_API_KEY", help="The server's key.")
def chat(url: str | None, api_key: str | None) -> None:
    """Type requests and watch the pictures form."""
    client = AsyncClient(url, api_key=api_key) if url else AsyncClient.local()
    try:
        with view_for(sys.stdout) as view:
            asyncio.run(talk(client, view))
    except OmniError as error:
        raise click.ClickException(one_line(error)) from None


async def talk(client: AsyncClient, view: View) -> None:
    """Read lines until /quit or the end of input; an error of one turn does not end the talk."""
    async with client, client.session(partials="both") as session:
        view.say(HELP)
        pictures: list[Image] = []
        while (line := await asyncio.to_thread(_read_line)) is not None and line != "/quit":
            try:
                await _turn(session, line, pictures, view)
            except ConnectionLost:
                raise
            except OmniError as error:
                view.say(f"error: {one_line(error)}")


async def _turn(session: AsyncSession, line: str, pictures: list[Image], view: View) -> None:
    """One line of input; `pictures` are those shown and not yet asked about."""
    command, _, argument = line.partition(" ")
    if not line:
        return
    if command == "/image":
        pictures.append(Image(Path(argument.strip())))
        view.say(f"{pictures[-1]}; now ask about it")
        return
    if command.startswith("/") and command not in ("/wav", "/ask"):
        view.say(f"there is no {command}; {HELP}")
        return
    said = _said(command, argument, line)
    parts: tuple[PartLike, ...] = (*pictures, said)
    output = ["text"] if pictures or command == "/ask" else ["image", "text"]
    pictures.clear()
    response, _frames = await watch(session, parts, view, {"output": output})
    if response.transcript is not None:
        view.say(f"heard: {response.transcript}")
    if response.text:
        view.say(response.text)


def _said(command: str, argument: str, line: str) -> PartLike:
    if command == "/wav":
        return Speech(Path(argument.strip()))
    return argument if command == "/ask" else line


def _read_line() -> str | None:
    """The next line of input without its ends, None at the end of input."""
    if sys.stdin.isatty():
        sys.stdout.write("> ")
        sys.stdout.flush()
    line = sys.stdin.readline()
    return line.strip() if line else None
