import re

from omnisdk.protocol.documents.catalogue import events
from omnisdk.protocol.documents.page import page

PAGE = page()


def test_every_event_has_its_place_and_side() -> None:
    sections = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
    places = {
        ("client", False): "A client sends",
        ("client", True): "A client with the extension sends",
        ("server", False): "The server sends",
        ("server", True): "The server sends to clients with the extension",
    }
    for event in events():
        assert f"### `{event.name}`\n" in sections[places[event.sender, event.extension]]


def test_links_lead_somewhere() -> None:
    anchors = {re.sub(r"[^a-z0-9_-]", "", heading.lower()) for heading in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert len(links) > 20
    assert links <= anchors


def test_a_row_tells_type_range_default_and_meaning() -> None:
    assert "| `threshold`? | number from 0 to 1, else `0.5` | probability of speech" in PAGE
    assert '| `action` | `"mask"` or `"pin"` or `"set"` |' in PAGE
    assert "| `image_url`? | picture or null |" in PAGE
