"""The plugin as pytest finds it: installed, or named."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path


def test_the_entry_point_names_the_plugin() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    value = project["entry-points"]["pytest11"]["omnisdk"]
    loaded = EntryPoint("omnisdk", value, "pytest11").load()
    assert loaded.__name__ == "omnisdk.pytest_plugin"


def test_it_loads_nothing_until_a_test_asks() -> None:
    code = "import omnisdk.pytest_plugin, sys; assert not {'torch', 'numpy', 'websockets', 'pydantic'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
