import io

import numpy as np
import pytest
from rich.console import Console

from clients.terminal.view import LiveView, PlainView, colour_blocks, progress_line, view_for
from omnisdk.media import Image
from omnisdk.partials import ImagePartial, Partial, Preview, SlotPartial, SpeechPartial, TextPartial


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def half_masked() -> Partial:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:] = (255, 0, 0)
    preview = Preview(Image(red).png, 1, 2, (0, 1), (0.9, 0.0))
    slots = told(TextPartial(name="text", text="two ▒▒▒ apples"), ImagePartial(name="image", preview=preview))
    return Partial(step=2, steps=4, progress=0.5, eta_ms=700, slots=slots)


def told(*slots: SlotPartial) -> dict[str, SlotPartial]:
    return {slot.name: slot for slot in slots}


def test_the_progress_line() -> None:
    assert progress_line(half_masked(), bar=False) == "step  2/4   50%  about 0.7 s to go  says: two ▒▒▒ apples"
    assert progress_line(half_masked(), bar=True).startswith("━" * 12 + "╌" * 12)
    speaking = Partial(slots=told(TextPartial(name="text", text="here"), SpeechPartial(name="speech", progress=0.25)))
    assert progress_line(speaking, bar=False).endswith("says: here  speech 25%")
    hearing = Partial(slots=told(TextPartial(name="transcript", text="dr▒▒")))
    assert "heard: dr▒▒" in progress_line(hearing, bar=False)


def test_colour_only_on_a_colour_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(view_for(Terminal()), LiveView)
    assert isinstance(view_for(io.StringIO()), PlainView)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(view_for(Terminal()), PlainView)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert isinstance(view_for(Terminal()), PlainView)


def test_plain_lines_have_no_escapes() -> None:
    stream = io.StringIO()
    with PlainView(stream) as view:
        view.say("hello")
        view.partial(half_masked())
    assert stream.getvalue().splitlines() == ["hello", progress_line(half_masked(), bar=False)]


def test_masked_cells_look_like_fog_in_the_live_view() -> None:
    stream = Terminal()
    console = Console(file=stream, force_terminal=True, color_system="truecolor", width=80)
    with LiveView(console) as view:
        view.partial(half_masked())
        view.say("done")
    drawn = stream.getvalue()
    assert "38;2;255;0;0" in drawn
    assert "38;2;181;147;155" in drawn  # red under fog
    assert drawn.rstrip().endswith("done")


def test_blocks_are_as_wide_as_asked() -> None:
    lines = Console(width=80).render_lines(colour_blocks(Image(np.zeros((10, 20, 3), np.uint8)), 20), pad=False)
    assert [sum(segment.cell_length for segment in line) for line in lines] == [20] * 5
