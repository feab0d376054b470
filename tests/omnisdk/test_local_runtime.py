import os
import sys

import pytest

from omnisdk import local_runtime
from omnisdk.errors import LocalRuntimeError
from omnisdk.local_runtime import LocalRuntime

pytestmark = pytest.mark.anyio
READY = 'import json; print("loading"); print(json.dumps({"url": "ws://127.0.0.1:1/v1/realtime"}), flush=True); '


def script(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_runs_while_it_is_used_and_not_after() -> None:
    async with LocalRuntime(command=script(READY + "import time; time.sleep(60)")) as runtime:
        assert runtime.url == "ws://127.0.0.1:1/v1/realtime"
        assert await runtime.death_note() is None
        pid = runtime.pid
        assert pid is not None
        assert is_running(pid)
    assert not is_running(pid)
    await runtime.close()


async def test_it_is_told_the_port_and_to_say_when_ready() -> None:
    code = 'import sys, json; print(json.dumps({"url": " ".join(sys.argv[1:])}), flush=True)'
    async with LocalRuntime(command=script(code), port=8765) as runtime:
        assert runtime.url == "--port 8765 --ready-json"


async def test_the_settings_of_a_public_server_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_API_KEY", "secret")
    monkeypatch.setenv("OMNI_THREADS", "1")
    code = 'import os, json; names = [n for n in os.environ if n.startswith("OMNI_")]'
    async with LocalRuntime(command=script(code + '; print(json.dumps({"url": str(names)}), flush=True)')) as runtime:
        assert "OMNI_THREADS" in runtime.url
        assert "OMNI_API_KEY" not in runtime.url


async def test_dying_at_start_shows_its_last_words() -> None:
    code = 'import sys; print("the checkpoint is damaged", file=sys.stderr); sys.exit(3)'
    with pytest.raises(LocalRuntimeError, match="exit code 3 before it was ready\nthe checkpoint is damaged"):
        async with LocalRuntime(command=script(code)):
            pass


async def test_never_ready() -> None:
    runtime = LocalRuntime(command=script("import time; time.sleep(60)"), start_timeout_s=0.3)
    with pytest.raises(LocalRuntimeError, match="not ready after 0 s"):
        async with runtime:
            pass
    assert runtime.pid is not None
    assert not is_running(runtime.pid)


async def test_much_output_does_not_block_it() -> None:
    noisy = READY + 'import sys\nfor _ in range(3000): print("x" * 200); print("y" * 200, file=sys.stderr)'
    async with LocalRuntime(command=script(noisy)) as runtime:
        assert runtime._child is not None
        assert await runtime._child.wait() == 0
        assert "exit code 0" in (await runtime.death_note(wait_s=1.0) or "")


async def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_runtime, "RUNTIME_MODULE", "there_is_no_such_package.cli")
    with pytest.raises(LocalRuntimeError, match=r"pip install 'omnisdk\[runtime\]'"):
        async with LocalRuntime():
            pass
