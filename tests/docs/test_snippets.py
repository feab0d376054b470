"""Every snippet of the documentation and of the README is run, against the embedded model."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

from omnisdk import Client, Speech
from omnisdk.command import main
from omnisdk.local_runtime import LocalRuntime
from omnisdk.testing import FakeSpeaker
from tests.docs.preambles import PREAMBLES
from tests.support.embedded_server import serving_embedded
from tests.support.snippets import PageRun, Snippet, snippets_of

ROOT = Path(__file__).parents[2]
MCP_SERVER = "npx -y @modelcontextprotocol/server-everything"
MCP_SERVER_HERE = f"{sys.executable} {ROOT / 'tests/support/mcp_server.py'}"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPETS = [snippet for page in PAGES for snippet in snippets_of(page, ROOT)]
PYTHON = [snippet for snippet in SNIPPETS if snippet.language == "python"]
COMMANDS = [
    (snippet, line.partition("#")[0].split()) for snippet in SNIPPETS for line in snippet.source.splitlines()
    if snippet.language in ("", "bash") and line.split()[:1] and line.split()[0].removeprefix(".venv/bin/") == "omni"
]  # fmt: skip


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """host:port of the embedded model, which all pages share."""
    with serving_embedded() as (url, _card):
        yield urlsplit(url).netloc


@pytest.fixture(scope="session")
def pages(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, PageRun]]:
    """Pages that were begun, by name; each in a folder of its own with a recording and a picture."""
    begun: dict[str, PageRun] = {}
    with ExitStack() as stack, Client(f"ws://{address}") as omni:
        drawn = omni.ask("draw a cat on a blue background", output=["image"]).image
        assert drawn is not None
        for page in {snippet.page for snippet in PYTHON}:
            folder = tmp_path_factory.mktemp("page")
            Speech(ROOT / "clients/terminal/request.wav").save(folder / "request.wav")
            drawn.save(folder / "cat.png")
            replaced = {"127.0.0.1:8765": address, MCP_SERVER: MCP_SERVER_HERE}
            run = PageRun(folder, {"omni": omni}, replaced, PREAMBLES.get(page, {}))
            begun[page] = stack.enter_context(run)
        yield begun


@pytest.fixture(autouse=True)
def at_hand(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Client.local() finds the running server; the microphone hears a recording, media are shown to nobody."""

    async def recorded() -> AsyncIterator[Speech]:
        yield Speech("request.wav")

    async def found(runtime: LocalRuntime) -> LocalRuntime:
        runtime.url = f"ws://{address}"
        return runtime

    monkeypatch.setattr(LocalRuntime, "__aenter__", found)
    monkeypatch.setattr("omnisdk.Image.show", lambda image: None)
    monkeypatch.setattr(Speech, "play", lambda speech: None)
    monkeypatch.setattr("omnisdk.microphone", recorded, raising=False)
    monkeypatch.setattr("omnisdk.speaker", FakeSpeaker, raising=False)


@pytest.mark.parametrize("snippet", PYTHON, ids=str)
def test_python(snippet: Snippet, pages: dict[str, PageRun], monkeypatch: pytest.MonkeyPatch) -> None:
    page = pages[snippet.page]
    monkeypatch.chdir(page.folder)
    siblings = [other for other in PYTHON if other.page == snippet.page]
    page.run_to(siblings, siblings.index(snippet))


@pytest.mark.parametrize(
    ("snippet", "words"), COMMANDS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_command_and_its_options_exist(snippet: Snippet, words: list[str]) -> None:
    """Of commands, which may take hours, only that they could be called so."""
    command: click.Command = main
    context = click.Context(main)
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    for word in words[1:]:
        found = command.get_command(context, word) if isinstance(command, click.Group) else None
        if found is None:
            break
        command = found
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert command is not main or words[1:2] in ([], ["--help"]), f"{snippet}: there is no such command"
    assert set(options) <= known, f"{snippet}: {command.name} knows {sorted(known)}"
