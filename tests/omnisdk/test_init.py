import resource
import subprocess
import sys

import omnisdk

HEAVY = ("torch", "numpy", "PIL", "websockets", "pydantic", "httpx", "msgspec", "asyncio", "ffmpeg")


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def seconds(code: str) -> float:
    """Processor time of the child, so that a busy machine does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    python(code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def test_importing_it_imports_nothing_heavy() -> None:
    imported = python("import sys, omnisdk; print(*sys.modules)").split()
    assert "omnisdk" in imported
    assert not set(HEAVY) & set(imported)


def test_importing_it_costs_less_than_150_ms() -> None:
    bare = min(seconds("pass") for _ in range(4))
    with_sdk = min(seconds("import omnisdk") for _ in range(4))
    assert with_sdk - bare < 0.150


def test_using_it_never_imports_torch() -> None:
    code = "import sys, omnisdk; [getattr(omnisdk, name) for name in omnisdk.__all__]; print(*sys.modules)"
    imported = set(python(code).split())
    assert {"omnisdk.client", "websockets"} <= imported
    assert not {"torch", "runtime", "vllm"} & imported


def test_every_public_name_is_there() -> None:
    assert set(omnisdk.__all__) == set(omnisdk._HOME)
    assert set(omnisdk.__all__) <= set(dir(omnisdk))
    for name in omnisdk.__all__:
        assert getattr(omnisdk, name).__name__ == name


def test_an_unknown_name() -> None:
    assert not hasattr(omnisdk, "Telepathy")
