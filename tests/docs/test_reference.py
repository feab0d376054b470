"""The reference tells of everything in `omnisdk.__all__`, once; the site's own rules of links."""

import importlib.util
import re
from pathlib import Path

import omnisdk

ROOT = Path(__file__).parents[2]
TOLD = re.compile(r"^::: omnisdk\.(\w+)$", re.MULTILINE)


def test_every_public_thing_is_told_once() -> None:
    told = [name for page in (ROOT / "docs/reference").glob("*.md") for name in TOLD.findall(page.read_text())]
    assert sorted(told) == sorted(omnisdk.__all__)


def test_every_page_of_the_reference_is_on_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text()
    assert all(f"reference/{page.name}" in site for page in (ROOT / "docs/reference").glob("*.md"))


def test_links_out_of_the_folder_lead_to_pages_or_are_words() -> None:
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs/site_pages.py")
    assert spec is not None
    assert spec.loader is not None
    site_pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site_pages)
    text = "[rules](../../omnisdk/protocol/README.md#tools), [a test](../../tests/golden/wire), [http](../http.md)"
    assert site_pages._at_home(text, "docs/protocol/events.md", "protocol/events.md") == (
        "[rules](rules.md#tools), a test, [http](../http.md)"
    )
