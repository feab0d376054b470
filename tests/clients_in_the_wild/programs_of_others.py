"""Programs that use clients of others, run in an environment of their own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients_in_the_wild.conftest import KEY

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("OMNI_CLIENTS_PYTHON", ROOT / ".venv-clients/bin/python"))
NEEDED = pytest.mark.skipif(not PYTHON.exists(), reason="make test-clients sets up the environment of these clients")


def run(program: str, url: str, *arguments: object) -> dict[str, Any]:
    """What a program of `programs/` tells it saw. It must have seen no errors."""
    command = [str(PYTHON), str(Path(__file__).parent / "programs" / f"run_{program}.py"), url, *map(str, arguments)]
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=environment() | {"API_KEY": KEY}
    )
    assert told.returncode == 0, told.stderr
    seen: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    assert seen["errors"] == []
    return seen


def environment() -> dict[str, str]:
    """Without the paths of this one: the programs have their own packages."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
