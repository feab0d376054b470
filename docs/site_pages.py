"""READMEs that stand beside the code, as pages of the site too; links out of the folder lead to them, or are words."""

from __future__ import annotations

import re
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PAGES = {
    "omnisdk/protocol/README.md": "protocol/rules.md",
    "runtime/README.md": "runtime.md",
    "runtime/models/README.md": "models.md",
    "runtime/embedded/README.md": "embedded_model.md",
    "runtime/benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=_at_home((ROOT / source).read_text(), source, page)))
        for picture in sorted(_pictures(source)):
            files.append(File.generated(config, picture, abs_src_path=str(ROOT / picture)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    path = page.file.src_uri
    return markdown if path in PAGES.values() else _at_home(markdown, f"docs/{path}", path)


def _at_home(markdown: str, source: str, page: str) -> str:
    """The text with its links as they lead on the site. source: the file in the repository; page: of the site."""

    def led(link: re.Match[str]) -> str:
        mark, words, target, anchor = link[1], link[2], link[3], link[4] or ""
        if "://" in target:
            return link[0]
        there = PurePosixPath(relpath(ROOT / PurePosixPath(source).parent / target, ROOT)).as_posix()
        goal = PAGES.get(there) or (there.removeprefix("docs/") if there.startswith("docs/") else None)
        if mark:
            goal = goal or there
        if goal is None:
            return words
        return f"{mark}[{words}]({relpath(goal, PurePosixPath(page).parent)}{anchor})"

    return LINK.sub(led, markdown)


def _pictures(source: str) -> set[str]:
    folder = PurePosixPath(source).parent
    shown = (link[3] for link in LINK.finditer((ROOT / source).read_text()) if link[1])
    return {(folder / target).as_posix() for target in shown if not target.startswith("..") and "://" not in target}
