"""The fixture `scripted` for everyone who has the package installed; it costs nothing until a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from omnisdk.testing import ScriptedRuntime


@pytest.fixture
def scripted() -> Iterator[ScriptedRuntime]:
    """A runtime that follows a script, on a socket of its own; see omnisdk.testing."""
    from omnisdk.testing import scripted_runtime

    yield from scripted_runtime()
