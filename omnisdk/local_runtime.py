"""The runtime as a child process of this program: started on a free port, stopped with it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from omnisdk.errors import LocalRuntimeError

RUNTIME_MODULE = "runtime.cli"
STDERR_LINES_KEPT = 30
# Meant for a server that others reach; the child is reached by this program alone, without a key.
PUBLIC_SERVER_VARIABLES = ("OMNI_HOST", "OMNI_PORT", "OMNI_API_KEY")


class ReadyLine(msgspec.Struct):
    """What the runtime prints, as one JSON line, when it takes connections."""

    url: str


class LocalRuntime:
    """`async with LocalRuntime() as runtime: runtime.url`.

    Raises LocalRuntimeError when it is not installed, dies before it is ready, or is not ready in `start_timeout_s`.
    """

    def __init__(self, *, port: int = 0, start_timeout_s: float = 60.0, command: Sequence[str] | None = None) -> None:
        self.port = port
        self.start_timeout_s = start_timeout_s
        self._command = command
        self._child: asyncio.subprocess.Process | None = None
        self._stderr_tail: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        self._readers: list[asyncio.Task[None]] = []
        self.url: str = ""

    async def __aenter__(self) -> LocalRuntime:
        command = [*(self._command or _serve_command()), "--port", str(self.port), "--ready-json"]
        self._child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name not in PUBLIC_SERVER_VARIABLES},
            limit=2**20,
        )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._readers = [asyncio.create_task(self._keep_tail(self._child.stderr))]
        try:
            self.url = await asyncio.wait_for(self._ready_url(self._child.stdout), self.start_timeout_s)
        except TimeoutError:
            await self.close()
            problem = f"the runtime was not ready after {self.start_timeout_s:.0f} s; give it a longer start_timeout_s"
            raise LocalRuntimeError(problem, stderr_tail=self.stderr_tail) from None
        except BaseException:  # a cancel too
            await self.close()
            raise
        self._readers.append(asyncio.create_task(_drain(self._child.stdout)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def stderr_tail(self) -> str:
        """The last lines it wrote to its standard error."""
        return "\n".join(self._stderr_tail)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def death_note(self, wait_s: float = 0.0) -> str | None:
        """Why it is gone, or None while it runs; a death that is just happening is waited for."""
        if self._child is None:
            return None
        try:
            await asyncio.wait_for(self._child.wait(), wait_s)
            await asyncio.wait(self._readers, timeout=wait_s)
        except TimeoutError:
            return None
        return f"the runtime ended with exit code {self._child.returncode}"

    async def close(self) -> None:
        """Ask it to stop, kill it after 5 s, and wait for its end. Twice is fine."""
        child = self._child
        if child is None:
            return
        with suppress(ProcessLookupError):
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), 5.0)
        except TimeoutError:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _ready_url(self, stdout: asyncio.StreamReader) -> str:
        while line := await stdout.readline():
            with suppress(msgspec.DecodeError):
                return msgspec.json.decode(line, type=ReadyLine).url
        assert self._child
        code = await self._child.wait()
        await asyncio.wait(self._readers, timeout=1.0)
        raise LocalRuntimeError(
            f"the runtime ended with exit code {code} before it was ready", stderr_tail=self.stderr_tail
        )

    async def _keep_tail(self, stderr: asyncio.StreamReader) -> None:
        while line := await stderr.readline():
            self._stderr_tail.append(line.decode("utf-8", "replace").rstrip())


def _serve_command() -> list[str]:
    """The runtime of this Python. Only looked for, never imported: it runs in its own process."""
    if importlib.util.find_spec(RUNTIME_MODULE.partition(".")[0]) is None:
        raise LocalRuntimeError(
            "the runtime is not installed in this Python; install it with: pip install 'omnisdk[runtime]', "
            'or use a server: Client("ws://host:port")'
        )
    return [sys.executable, "-m", RUNTIME_MODULE, "serve"]


async def _drain(stdout: asyncio.StreamReader) -> None:
    while await stdout.readline():
        pass
