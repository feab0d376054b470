"""What a run has answered so far, kept in a file of JSON lines, so that a run that was stopped goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from runtime.evaluation.published.errors import SetupError


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One item that is done. `seconds`: what it added to the time of the run. `error`: why it has no answer."""

    id: str
    seconds: float = 0.0
    error: str | None = None


R = TypeVar("R", bound=Row)


class AnswerLog(Generic[R]):
    """Rows by id, in a file whose first line holds the settings they were made with.

    A last line that was cut off when a run was stopped is dropped. Rows with an error count as not done; of two rows
    with one id the later counts. Raises SetupError if the file was written with other settings or is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], row_type: type[R]) -> None:
        self.path = path
        self.rows: dict[str, R] = {}
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(row_type)
        header = self._encoder.encode({"settings": settings})
        if path.is_file() and b"\n" in path.read_bytes():
            self._read(header)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(header + b"\n")

    def __contains__(self, item_id: str) -> bool:
        """Whether the item is done."""
        return item_id in self.rows and self.rows[item_id].error is None

    def append(self, row: R) -> None:
        with self.path.open("ab") as file:
            file.write(self._encoder.encode(row) + b"\n")
        self.rows[row.id] = row

    def _read(self, header: bytes) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self.path.open("r+b") as file:
                file.truncate(whole)
        first, *lines = content[:whole].splitlines()
        self._check_settings(first, header)
        for number, line in enumerate(lines, 2):
            try:
                row = self._decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise self._damaged(number, error) from error
            self.rows[row.id] = row

    def _check_settings(self, found: bytes, wanted: bytes) -> None:
        try:
            old, new = (msgspec.json.decode(header)["settings"] for header in (found, wanted))
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            raise self._damaged(1, error) from error
        different = [
            f"{name} {old.get(name)!r}, now {new.get(name)!r}"
            for name in {**old, **new}
            if old.get(name) != new.get(name)
        ]
        if different:
            raise SetupError(
                f"{self.path} holds answers made with other settings: {'; '.join(different)}. "
                "Choose another --out, or remove the file to begin anew"
            )

    def _damaged(self, number: int, error: Exception) -> SetupError:
        return SetupError(
            f"{self.path}, line {number} is damaged ({error}); remove the line to have that item answered again, "
            "or the file to begin anew"
        )
