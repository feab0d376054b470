"""The server's own description against the official schema of AsyncAPI, which `make test-clients` installs."""

import json
from pathlib import Path

import httpx
import pytest
from jsonschema import Draft7Validator

from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine

SCHEMAS = Path(__file__).parent / "node" / "node_modules" / "@asyncapi" / "specs" / "schemas"

pytestmark = [
    pytest.mark.wild,
    pytest.mark.skipif(not SCHEMAS.is_dir(), reason="make test-clients installs the schema"),
]


def test_it_is_valid() -> None:
    with serving(ScriptedEngine()) as url:
        document = httpx.get(url.replace("ws://", "http://") + "/asyncapi.json", timeout=60).json()
    schema = json.loads((SCHEMAS / f"{document['asyncapi']}.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(document)] == []
    broken = {**document, "channels": {"realtime": {"adress": "/"}}}
    assert not Draft7Validator(schema).is_valid(broken)
