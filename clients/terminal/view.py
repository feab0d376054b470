"""How an answer looks in a terminal while it forms: a progress line and the half-masked picture in colour blocks."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Protocol, TextIO

from rich.color import Color
from rich.console import Console, Group
from rich.live import Live
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from omnisdk.media import Image
from omnisdk.partials import Partial, SpeechPartial
from omnisdk.response import Response

PICTURE_COLUMNS = 40
BAR_COLUMNS = 24


class View(Protocol):
    """Shows one answer after another on a stream."""

    def __enter__(self) -> View: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def say(self, line: str) -> None: ...
    def partial(self, partial: Partial) -> None: ...
    def final(self, response: Response) -> None: ...


def view_for(stream: TextIO) -> View:
    """The live view on a colour terminal, plain lines on a pipe, with NO_COLOR or on a dumb terminal."""
    colour = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return LiveView(Console(file=stream, highlight=False)) if colour else PlainView(stream)


class LiveView:
    """One region of the terminal, redrawn for each partial."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def say(self, line: str) -> None:
        self._stop()
        self._console.print(Text(line))

    def partial(self, partial: Partial) -> None:
        self._draw(progress_line(partial, bar=True), partial.image)

    def final(self, response: Response) -> None:
        last = response.latest or Partial()
        self._draw(progress_line(Partial(last.steps, last.steps, 1.0), bar=True), response.image)
        self._stop()

    def _draw(self, line: str, image: Image | None) -> None:
        picture = [] if image is None else [colour_blocks(image, min(PICTURE_COLUMNS, self._console.width - 1))]
        drawn = Group(*picture, Text(line, no_wrap=True, overflow="ellipsis"))
        if self._live is None:
            self._live = Live(drawn, console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(drawn, refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class PlainView:
    """Lines without colour or cursor movement: for pipes, logs and NO_COLOR."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()

    def say(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def partial(self, partial: Partial) -> None:
        self.say(progress_line(partial, bar=False))

    def final(self, response: Response) -> None:
        if response.image is not None and self._stream.isatty():
            self.say(response.image.blocks(PICTURE_COLUMNS, colour=False))


def progress_line(partial: Partial, *, bar: bool) -> str:
    """`step  4/16  25 %  about 0.8 s  heard: two ▒▒▒ apples`."""
    filled = round(partial.progress * BAR_COLUMNS)
    words = ["━" * filled + "╌" * (BAR_COLUMNS - filled)] if bar else []
    words += [f"step {partial.step:2d}/{partial.steps}", f"{partial.progress:4.0%}"]
    if partial.eta_ms and partial.eta_ms >= 100:
        words.append(f"about {partial.eta_ms / 1000:.1f} s to go")
    if partial.transcript:
        words.append(f"heard: {partial.transcript}")
    if partial.text:
        words.append(f"says: {partial.text}")
    words += [str(slot) for slot in partial.slots.values() if isinstance(slot, SpeechPartial)]
    return "  ".join(words)


def colour_blocks(image: Image, columns: int) -> Segments:
    """The picture (masked cells as fog) as half-block characters, two pixels each."""
    grid = image.cells(columns)
    segments = []
    for upper, lower in zip(grid[0::2], grid[1::2], strict=True):
        for top, low in zip(upper.tolist(), lower.tolist(), strict=True):
            segments.append(Segment("▀", Style(color=Color.from_rgb(*top), bgcolor=Color.from_rgb(*low))))
        segments.append(Segment.line())
    return Segments(segments)
