"""`omni chat`: type a request, see the picture form; one live session for the whole talk."""

from __future__ import annotations

import asyncio
import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path

import click

from clients.terminal.demo import enlarged, one_line, watch
from clients.terminal.generation import FORM, generation_options, slots_of
from clients.terminal.view import View, view_for
from omnisdk.client import AsyncClient
from omnisdk.conversation import PartLike
from omnisdk.errors import ConnectionLost, OmniError
from omnisdk.media import Image, Speech
from omnisdk.session import AsyncSession
from omnisdk.settings import GenerationSettings

HELP = (
    "type a request; /wav FILE says a recording, /image FILE shows a picture for the next line, "
    "/ask QUESTION asks about the last picture, /save FILE keeps the last drawing, "
    "/set SLOT.SETTING=VALUE changes the generation from now on, /help says this again, /quit ends"
)
NEEDED = {
    "/wav": "the path of a recording",
    "/image": "the path of a picture",
    "/ask": "a question",
    "/save": "a path that ends in .png, .jpg or .webp",
}


@dataclass
class Talk:
    """What holds from one line to the next.

    settings: of every answer. speak: whether answers are spoken. out: folder of spoken answers.
    pictures: shown and not yet asked about. drawn: the last drawing.
    """

    session: AsyncSession
    view: View
    out: Path
    settings: GenerationSettings = field(default_factory=GenerationSettings)
    speak: bool = False
    pictures: list[Image] = field(default_factory=list)
    drawn: Image | None = None
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


@click.command("chat")
@click.option("--url", help="Use this server instead of starting a runtime here.")
@click.option("--api-key", envvar="OMNI_API_KEY", help="The server's key.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("omni-chat"), show_default=True,
    help="Folder of spoken answers.",
)  # fmt: skip
@generation_options
def chat(
    url: str | None, api_key: str | None, out: Path, speak: bool, recipe: str | None, numbers: tuple[str, ...]
) -> None:
    """Type requests and watch the pictures form; spoken answers are written as reply-1.wav, reply-2.wav, ..."""
    client = AsyncClient(url, api_key=api_key) if url else AsyncClient.local()
    try:
        settings = GenerationSettings(recipe=recipe, slots=slots_of(numbers))
        with view_for(sys.stdout) as view:
            asyncio.run(talk(client, view, out, settings, speak=speak))
    except OmniError as error:
        raise click.ClickException(one_line(error)) from None


async def talk(
    client: AsyncClient, view: View, out: Path, settings: GenerationSettings | None = None, *, speak: bool = False
) -> None:
    """Read lines until /quit or the end of input; an error of one turn does not end the talk."""
    async with client, client.session(partials="both") as session:
        view.say(HELP)
        now = Talk(session, view, out, settings or GenerationSettings(), speak)
        while (line := await next_line()) is not None and line != "/quit":
            try:
                await _turn(now, line)
            except ConnectionLost:
                raise
            except OmniError as error:
                view.say(f"error: {one_line(error)}")


async def _turn(talk: Talk, line: str) -> None:
    """One line of input."""
    command, _, argument = line.partition(" ")
    if not line:
        return
    if command == "/help":
        talk.view.say(HELP)
    elif command in NEEDED and not argument.strip():
        talk.view.say(f"{command} needs {NEEDED[command]} behind it")
    elif command == "/image":
        talk.pictures.append(Image(Path(argument.strip())))
        talk.view.say(f"{talk.pictures[-1]}; now ask about it")
    elif command == "/save":
        _keep(talk, Path(argument.strip()))
    elif command == "/set":
        _change(talk, argument.split())
    elif command.startswith("/") and command not in ("/wav", "/ask"):
        talk.view.say(f"there is no {command}; {HELP}")
    else:
        await _ask(talk, _said(command, argument, line), about_a_picture=command == "/ask")


def _change(talk: Talk, numbers: list[str]) -> None:
    changed = slots_of(numbers)
    if changed is None:
        talk.view.say(f"nothing to set; write {FORM}")
        return
    talk.settings = talk.settings.merged(GenerationSettings(slots=changed))
    for slot, settings in (talk.settings.slots or {}).items():
        talk.view.say(f"{slot}: {', '.join(f'{name} {value}' for name, value in settings.given.items())}")


def _keep(talk: Talk, path: Path) -> None:
    if talk.drawn is None:
        talk.view.say("nothing was drawn yet; ask for a drawing first, as in: draw a cat")
    else:
        talk.view.say(f"{enlarged(talk.drawn).save(path)}: {talk.drawn}")


async def _ask(talk: Talk, said: PartLike, *, about_a_picture: bool) -> None:
    parts: tuple[PartLike, ...] = (*talk.pictures, said)
    # With words first a question about the last picture is answered, and what asks for a drawing is drawn.
    silent = ("text",) if talk.pictures or about_a_picture else ("text", "image")
    talk.pictures.clear()
    settings = {**talk.settings.given, "output": ("speech", *silent) if talk.speak else silent}
    response, _frames = await watch(talk.session, parts, talk.view, settings)
    talk.drawn = response.image or talk.drawn
    if response.transcript is not None:
        talk.view.say(f"heard: {response.transcript}")
    if response.text:
        talk.view.say(response.text)
    if response.speech is not None:
        talk.view.say(_saved(talk, response.speech))


def _saved(talk: Talk, speech: Speech) -> str:
    try:
        talk.out.mkdir(parents=True, exist_ok=True)
        path = speech.save(talk.out / f"reply-{next(talk.numbers)}.wav")
    except OSError as error:
        raise OmniError(f"{talk.out} cannot be written ({error.strerror}); give another --out folder") from None
    return f"{path}: {speech}"


def _said(command: str, argument: str, line: str) -> PartLike:
    if command == "/wav":
        return Speech(Path(argument.strip()))
    return argument if command == "/ask" else line


async def next_line() -> str | None:
    """The next line of input without its ends, None at the end of input."""
    if sys.stdin.isatty():
        sys.stdout.write("> ")
        sys.stdout.flush()
        await _typed()
    return await asyncio.to_thread(_read_line)


async def _typed() -> None:
    """Until a line is there to be read: a thread that waits for it would keep Ctrl-C from ending the program."""
    if sys.platform == "win32":  # its loop watches no terminal
        return
    loop, typed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())


def _read_line() -> str | None:
    line = sys.stdin.readline()
    return line.strip() if line else None
