"""Strings of a fixed shape: dates, times and UUIDs with digits in fixed places, so that whatever is chosen parses.

As everywhere in a skeleton, what was said is offered and nothing else, where something was: "on 5 March 2027 at 7 pm".
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

ANY_STRING = frozenset(("path", "password", "binary"))  # formats that every string has
YEARS = range(1900, 2100)
_NAMES = "january february march april may june july august september october november december"
MONTHS = _NAMES.split()
DAYS = tuple(f"{date(1999, 1, 1) + timedelta(days=day):%m-%d}" for day in range(365))  # of every year
HEX = "0123456789abcdef"
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" if len(name) > 3 else name for name in MONTHS)
_ISO_DATE = re.compile(r"\b(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)", re.ASCII)
_DAY_MONTH = re.compile(
    rf"\b(?P<day>\d\d?)(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month>{_MONTH})\b\.?(?:,?\s+(?P<year>\d{{4}})\b)?",
    re.IGNORECASE | re.ASCII,
)
_MONTH_DAY = re.compile(
    rf"\b(?P<month>{_MONTH})\b\.?\s+(?:the\s+)?(?P<day>\d\d?)(?:st|nd|rd|th)?\b(?:,?\s+(?P<year>\d{{4}})\b)?",
    re.IGNORECASE | re.ASCII,
)
_CLOCK = re.compile(
    r"(?<![\d.-])(?P<hour>\d\d?)(?::(?P<minute>\d\d)(?::(?P<second>\d\d))?)?\s*(?P<half>[ap]\.?m\b|o'?clock)?"
    r"(?![\d-]|\.\d)",
    re.IGNORECASE | re.ASCII,
)
_STAMP = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Place:
    """A named part of such a string, and all that may stand there."""

    name: str
    choices: tuple[str, ...]


Shape = list[str | Place]


def shape_of(form: str, words: str) -> Shape | None:
    """Text and places in turn, of a format of JSON Schema; None for one that has no such shape.

    words: what was said, numbers in digits.
    """
    lay_out = _SHAPES.get(form)
    return None if lay_out is None else lay_out(words)


def _date(words: str) -> Shape:
    said = list(_dates(words))
    whole = [told for told in said if len(told) > len("12-31")]
    if whole:
        return [Place("date", tuple(whole))]
    years = [year for year in re.findall(r"\b\d{4}\b", words, re.ASCII) if int(year) in YEARS]
    return [Place("year", tuple(years) or tuple(map(str, YEARS))), "-", Place("day", tuple(said) or DAYS)]


def _dates(words: str) -> Iterator[str]:
    """Those that were said: "2027-03-05", or "03-05" where no year was."""
    for pattern in (_ISO_DATE, _DAY_MONTH, _MONTH_DAY):
        for match in pattern.finditer(words):
            told = match["month"]
            month = int(told) if told.isdigit() else [name[:3] for name in MONTHS].index(told[:3].lower()) + 1
            year, day = match["year"], int(match["day"])
            if _is_date(int(year or 1999), month, day):
                yield f"{year}-{month:02}-{day:02}" if year else f"{month:02}-{day:02}"


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _time(words: str) -> Shape:
    said = tuple(_times(words))
    if said:
        return [Place("time", said), "Z"]
    return [Place("hour", _counted(24)), ":", Place("minute", _counted(60)), ":00Z"]


def _times(words: str) -> list[str]:
    """Those that were said, "19:30:00"; a mere number is an hour where nothing better was said."""
    for pattern in (_ISO_DATE, _DAY_MONTH, _MONTH_DAY):
        words = pattern.sub(" ", words)  # its day is no hour
    found = [(match, told) for match in _CLOCK.finditer(words) if (told := _clock(match)) is not None]
    clear = [told for match, told in found if match["minute"] or match["half"]]
    return list(dict.fromkeys(clear or [told for _, told in found]))


def _clock(match: re.Match[str]) -> str | None:
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    half = (match["half"] or "")[:1].lower()
    if half in ("a", "p"):
        hour = hour % 12 + (12 if half == "p" else 0) if 1 <= hour <= 12 else 24
    return f"{hour:02}:{minute:02}:{second:02}" if hour < 24 and minute < 60 and second < 60 else None


def _date_time(words: str) -> Shape:
    said = tuple(dict.fromkeys(told for told in _STAMP.findall(words) if _is_stamp(told)))
    return [Place("moment", said)] if said else [*_date(words), "T", *_time(re.sub(r"(?<=\d)T(?=\d)", " ", words))]


def _is_stamp(told: str) -> bool:
    try:
        datetime.fromisoformat(told)
    except ValueError:
        return False
    return True


def _uuid4(words: str) -> Shape:
    said = tuple(told for told in _uuids(words) if told[14] == "4" and told[19] in "89ab")
    return [Place("uuid", said)] if said else _random_uuid()


def _uuid(words: str) -> Shape:
    said = _uuids(words)
    return [Place("uuid", said)] if said else _random_uuid()


def _uuids(words: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(told.lower() for told in _UUID.findall(words)))


def _random_uuid() -> Shape:
    """Of version 4, two digits a place."""
    pairs = [_pairs("4" if at == 6 else "89ab" if at == 8 else HEX) for at in range(16)]
    shape: Shape = []
    for at, choices in enumerate(pairs):
        shape += ["-"] if at in (4, 6, 8, 10) else []
        shape.append(Place(f"byte{at}", choices))
    return shape


def _pairs(first: str) -> tuple[str, ...]:
    return tuple(one + other for one in first for other in HEX)


def _counted(end: int) -> tuple[str, ...]:
    return tuple(f"{number:02}" for number in range(end))


_SHAPES: dict[str, Callable[[str], Shape]] = {
    "date": _date,
    "time": _time,
    "date-time": _date_time,
    "uuid": _uuid,
    "uuid4": _uuid4,
}
FORMATS: Sequence[str] = tuple(_SHAPES)
