"""What is said aloud: which answers were given to the speaker, and how much of each was heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from omnisdk.audio_file import Pcm
from omnisdk.errors import MediaError
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ


class SpeakerLike(Protocol):
    """Where an assistant is heard. `speaker()` is one; anything with these methods will do."""

    @property
    def heard_s(self) -> float:
        """Seconds that were heard since the beginning."""

    def play(self, pcm: Pcm) -> None:
        """Say this after what was given before: (samples,) int16 at 24 kHz. Returns at once."""

    def stop(self) -> None:
        """Fall silent at once; what was not heard never is."""

    async def finished(self) -> None:
        """Wait until all that was given was heard."""

    def close(self) -> None:
        """No more is said."""


def check_speaker(speaker: SpeakerLike) -> None:
    """Raises MediaError for what cannot be spoken with, before anything is said."""
    missing = [name for name in ("heard_s", "play", "stop", "finished", "close") if not hasattr(speaker, name)]
    if missing:
        raise MediaError(
            f"{speaker!r} came as a speaker; it has no {', '.join(missing)}; give speaker(), or an object with all "
            "that SpeakerLike has"
        )


@dataclass(frozen=True)
class Cut:
    """An answer that was not heard to its end."""

    item_id: str
    heard_ms: int


@dataclass
class _Stretch:
    """Where an item lies in all that was ever given, in seconds."""

    item_id: str
    begins_s: float
    ends_s: float


class Playback:
    """Gives answers to a speaker and keeps the count of what was heard of each."""

    def __init__(self, speaker: SpeakerLike) -> None:
        self._speaker = speaker
        self._stretches: list[_Stretch] = []
        self._given_s = speaker.heard_s

    def give(self, item_id: str, pcm: Pcm) -> None:
        """More of an answer: (samples,) at 24 kHz."""
        if not self._stretches or self._stretches[-1].item_id != item_id:
            self._stretches.append(_Stretch(item_id, self._given_s, self._given_s))
        self._given_s += len(pcm) / WIRE_SAMPLE_RATE_HZ
        self._stretches[-1].ends_s = self._given_s
        self._speaker.play(pcm)

    def stop(self) -> list[Cut]:
        """Silence, at once. The answers that were not heard to their end, and the last, of which more may be coming."""
        self._speaker.stop()
        heard_s = self._speaker.heard_s
        cuts = [
            Cut(stretch.item_id, round(max(0.0, min(heard_s, stretch.ends_s) - stretch.begins_s) * 1000))
            for stretch in self._stretches
            if stretch.ends_s > heard_s or stretch is self._stretches[-1]
        ]
        self._stretches.clear()
        self._given_s = heard_s
        return cuts

    async def finished(self) -> None:
        """Wait until all of it was heard."""
        await self._speaker.finished()
        self._stretches.clear()

    def close(self) -> None:
        self._speaker.stop()
        self._speaker.close()
