import threading
from contextlib import nullcontext

import pytest

from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import Conversation
from omnisdk.editing import Edit
from omnisdk.errors import ConnectionLost, OmniError
from omnisdk.portal import opened
from omnisdk.testing import ScriptedRuntime


async def ours() -> str:
    return threading.current_thread().name


def test_what_is_called_runs_in_another_thread() -> None:
    with opened(nullcontext()) as portal:
        assert portal.wait(ours()) != threading.current_thread().name
        assert portal.call(ours) == portal.wait(ours())
    with pytest.raises(ConnectionLost, match="closed here; open a new one"):
        portal.wait(ours())


def test_an_error_of_the_function_is_its_own() -> None:
    async def broken() -> None:
        raise RuntimeError("a bug")

    with opened(nullcontext()) as portal, pytest.raises(RuntimeError, match="a bug"):
        portal.wait(broken())


def test_waiting_on_its_own_thread_is_refused() -> None:
    with opened(nullcontext()) as portal:

        async def inside() -> None:
            portal.wait(ours())

        with pytest.raises(OmniError, match="would wait for itself"):
            portal.wait(inside())


def test_what_is_left_of_a_closed_client_says_so(scripted: ScriptedRuntime) -> None:
    scripted.say("hi").say("x", lasts_s=60)
    with Client(scripted.url) as omni, omni.session() as session:
        finished = session.ask("hello")
        session.send("and?")
        forming = session.respond()
    assert finished.wait().text == "hi"
    assert [partial.text for partial in finished] == ["hi"]
    finished.cancel()
    for act in (
        forming.wait,
        lambda: list(forming),
        lambda: list(omni.iterate(anything())),
        lambda: forming.edit(Edit.mask("text", [0])).wait(),
        lambda: finished.fork(at_step=1),
        finished.replay,
        lambda: session.send("more"),
        session.respond,
    ):
        with pytest.raises(OmniError, match=r"closed here|not open|told its canvas|cannot be forked"):
            act()
    with pytest.raises(OmniError, match="the client is not open"):
        omni.ask("more")


async def anything():  # type: ignore[no-untyped-def]
    yield 1


def test_a_session_that_was_not_left_does_not_keep_its_client_open(scripted: ScriptedRuntime) -> None:
    scripted.say("x", lasts_s=60)
    with Client(scripted.url) as omni:
        entered = omni.session()
        session = entered.__enter__()
        session.send("hello")
        forming = session.respond()
        outer = omni.session()
        outer.__enter__()
        outer.__exit__(None, None, None)
    with pytest.raises(ConnectionLost, match="closed here"):
        forming.wait()
    entered.__exit__(None, None, None)
    with Client(scripted.url):  # and the client may be opened again
        pass


def test_a_client_is_open_once(scripted: ScriptedRuntime) -> None:
    with Client(scripted.url) as omni, pytest.raises(OmniError, match="open already"), omni:
        pass


@pytest.mark.anyio
async def test_a_session_is_opened_before_it_is_used_and_once(scripted: ScriptedRuntime) -> None:
    async with AsyncClient(scripted.url) as omni:
        session = omni.session()
        for act in (lambda: session.send("hello"), lambda: session.ask("hello")):
            with pytest.raises(OmniError, match="the session is not open; use: async with"):
                await act()
        with pytest.raises(OmniError, match="the session is not open"):
            session.respond()
        async with session:
            with pytest.raises(OmniError, match="a session is opened once"):
                await session.__aenter__()
        with pytest.raises(OmniError, match="open already"):
            await omni.__aenter__()
        with pytest.raises(OmniError, match="came as a conversation"):
            omni.session("hello")  # type: ignore[arg-type]
        assert omni.session(Conversation()).conversation == Conversation()
