"""What is left out of a conversation that is too long: its oldest turns."""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.codecs.text import TextCodec
from runtime.engine.prompt import ChatStyle, EncodedTurn, turn_positions


@dataclass(frozen=True)
class Truncation:
    """enabled: else nothing is left out, and what is too long is refused.

    most_positions: of all turns but the system's; None for as many as there is room for. share: of the most there may
    be, how much is kept once something is left out: less of it leaves turns out more seldom.
    """

    enabled: bool = True
    most_positions: int | None = None
    share: float = 1.0


AUTO = Truncation()


def truncated(
    turns: Sequence[EncodedTurn], room: int, truncation: Truncation, text: TextCodec, style: ChatStyle
) -> list[EncodedTurn]:
    """The system's turns and the newest others; the last one always, and none of the assistant's before the user's.

    room: positions for all of them.
    """
    sizes = [turn_positions(turn, text, style) for turn in turns]
    others = [index for index, turn in enumerate(turns) if turn.role != "system"]
    room -= sum(sizes) - sum(sizes[index] for index in others)
    most = room if truncation.most_positions is None else min(room, truncation.most_positions)
    if not truncation.enabled or sum(sizes[index] for index in others) <= most:
        return list(turns)
    while len(others) > 1 and (
        sum(sizes[index] for index in others) > most * truncation.share or turns[others[0]].role == "assistant"
    ):
        del others[0]
    return [turn for index, turn in enumerate(turns) if turn.role == "system" or index in others]
