"""The six rules of import. import-linter reads them from pyproject.toml; what it cannot see is checked here."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
OPEN_TO_ALL = {"omnisdk", "omnisdk.protocol"}  # what the runtime may import of the SDK
FFMPEG = {"ffmpeg", "imageio_ffmpeg"}


def contract(number: int) -> dict[str, list[str]]:
    return next(contract for contract in CONTRACTS if contract["name"].startswith(f"{number}."))


def imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_contracts_hold() -> None:
    script = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    outcome = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_every_module_of_the_sdk_is_closed_to_the_runtime_and_to_the_protocol() -> None:
    modules = {f"omnisdk.{path.stem}" for path in (ROOT / "omnisdk").glob("[!_]*.py")}
    modules |= {f"omnisdk.{path.parent.name}" for path in (ROOT / "omnisdk").glob("*/__init__.py")}
    closed = modules - OPEN_TO_ALL
    assert closed == {name for name in contract(4)["forbidden_modules"] if name.startswith("omnisdk")}
    assert closed == {name for name in contract(2)["forbidden_modules"] if name.startswith("omnisdk")}


def test_every_part_of_the_runtime_has_its_layer() -> None:
    parts = {path.parent.name for path in (ROOT / "runtime").glob("*/__init__.py")}
    parts |= {path.stem for path in (ROOT / "runtime").glob("[!_]*.py")}
    layers = {name for layer in contract(6)["layers"] for name in re.split(r" [|:] ", layer)}
    assert parts == layers


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_need_the_sdk_alone(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imported_by(path)}
    assert not roots & {"torch", "vllm", "runtime", "clients"}
    assert len(path.read_text().splitlines()) <= 40


def test_one_file_calls_ffmpeg() -> None:
    files = [
        path for package in ("omnisdk", "runtime", "clients", "examples") for path in (ROOT / package).rglob("*.py")
    ]
    callers = [path.relative_to(ROOT).as_posix() for path in files if FFMPEG & set(imported_by(path))]
    assert callers == ["omnisdk/audio_file.py"]
