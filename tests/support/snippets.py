"""What the fences of a Markdown page say, and how the Python of them is run: in order, in the page's own names."""

import ast
import asyncio
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

FENCE = re.compile(r"^(?P<mark>```+)(?P<language>\w*)[^\n]*\n(?P<source>.*?)^(?P=mark)\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """line: of its first line in the page, from 1."""

    page: str
    line: int
    language: str
    source: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def snippets_of(path: Path, root: Path) -> list[Snippet]:
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(root).as_posix()
    return [
        Snippet(page, text.count("\n", 0, fence.start("source")) + 1, fence["language"], fence["source"])
        for fence in FENCE.finditer(text)
    ]


@dataclass
class PageRun:
    """One page's Python, run snippet by snippet in one set of names and one event loop; `await` stands anywhere.

    given: names that every snippet finds as they were. replaced: words of the page that mean something else here.
    preambles: what is run before snippets, by how they begin.
    """

    folder: Path
    given: Mapping[str, object] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    preambles: Mapping[str, str] = field(default_factory=dict)
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "snippets"})
    done: int = 0
    failed: Snippet | None = None

    def __enter__(self) -> "PageRun":
        self._runner = asyncio.Runner().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.__exit__(kind, error, trace)

    def run_to(self, snippets: list[Snippet], index: int) -> None:
        """Run what was not yet run, the snippet at `index` last. Raises what a snippet raises."""
        while self.done <= index:
            snippet = snippets[self.done]
            if self.failed is not None:
                raise AssertionError(f"{self.failed}, which comes before it on the page, failed")
            try:
                self.names.update(self.given)
                for beginning, preamble in self.preambles.items():
                    if snippet.source.startswith(beginning):
                        self.run(preamble, f"before {snippet}")
                self.run(snippet.source, str(self.folder / snippet.page), snippet.line)
            except BaseException:
                self.failed = snippet
                raise
            self.done += 1

    def run(self, source: str, name: str, line: int = 1) -> None:
        for words, meant in self.replaced.items():
            source = source.replace(words, meant)
        placed = "\n" * (line - 1) + source
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(placed, name, "exec", flags=flags, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(eval(code, self.names))
        else:
            exec(code, self.names)
