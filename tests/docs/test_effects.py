"""The page that says what is seen of the extension names tests that exist, and leaves out no event of it."""

import re
from pathlib import Path

from omnisdk.protocol.documents.catalogue import EXTENSION_PREFIX, events

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/protocol/effects.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)


def test_every_test_that_is_named_exists() -> None:
    missing = [f"{file}::{name}" for file, name in NAMED if f"def {name}(" not in (ROOT / file).read_text()]
    assert not missing


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| what |")]
    assert len(rows) == len(NAMED)


def test_every_event_of_the_extension_stands_there() -> None:
    answers = {"omni.canvas.edited", "omni.canvas.steered", "omni.response.tuned"}  # told beside what asks for them
    named = {event.name for event in events() if event.name.startswith(EXTENSION_PREFIX)} - answers
    assert not {name for name in named if f"`{name}`" not in PAGE}
