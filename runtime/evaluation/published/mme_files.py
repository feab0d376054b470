"""The files of MME: its folders of questions about pictures, and the result files of its evaluation tool."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.vqa import Query, Replied

SUFFIXES = (".jpg", ".png", ".jpeg", ".webp")
QUESTIONS, IMAGES = "questions_answers_YN", "images"
TOOL_FILES = Path("eval_tool") / "Your_Results"
EXPECTED = """expected is MME as it is published, a folder for each subtask,
  DATA/existence/0001.png  DATA/existence/0001.txt                     lines like: Is there a dog?<tab>Yes
or
  DATA/artwork/images/1.jpg  DATA/artwork/questions_answers_YN/1.txt   the same
or the files of its evaluation tool,
  DATA/eval_tool/Your_Results/existence.txt                            lines like: 0001.png<tab>question<tab>Yes
  DATA/images/existence/0001.png
or, to score answers that are there already, a folder of
  DATA/existence.txt                          lines like: 0001.png<tab>question<tab>Yes<tab>answer"""


def read_queries(data: Path) -> list[Query]:
    """All questions, those of one picture one after another. Raises DataError."""
    folders = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    queries = [query for folder in folders for query in _subtask_folder(folder)]
    if not queries:
        queries = [query for path in sorted((data / TOOL_FILES).glob("*.txt")) for query in _tool_file(path, data)]
    if not queries:
        raise DataError(f"{data}: no questions in any of its {len(folders)} folders; {EXPECTED}")
    return queries


def _subtask_folder(folder: Path) -> Iterator[Query]:
    """The questions of a subtask; nothing where the folder is none. Raises DataError for some without a picture."""
    apart = (folder / QUESTIONS).is_dir()
    pictures = folder / IMAGES if apart else folder
    for path in sorted((folder / QUESTIONS if apart else folder).glob("*.txt")):
        picture = _picture_of(pictures, path.stem)
        if picture is not None:
            yield from _questions(path, folder.name, picture)
        elif apart or "\t" in path.read_text(encoding="utf-8-sig"):
            raise DataError(
                f"{pictures}: no picture {path.stem} with any of the endings {', '.join(SUFFIXES)}; {EXPECTED}"
            )


def _picture_of(folder: Path, name: str) -> Path | None:
    named = sorted(folder.glob(f"{glob.escape(name)}.*"))
    return next((path for path in named if path.suffix.lower() in SUFFIXES), None)


def _questions(path: Path, subtask: str, picture: Path) -> Iterator[Query]:
    for number, (place, (question, truth)) in enumerate(_lines(path, 2)):
        yield Query(f"{subtask}/{picture.name}/{number}", subtask, picture, question, _truth(truth, place))


def _tool_file(path: Path, data: Path) -> Iterator[Query]:
    """Lines of picture, question, right answer; what a model answered may follow and is left out."""
    subtask, numbers = path.stem, dict[str, int]()
    for place, (name, question, truth, *_) in _lines(path, 3):
        candidates = (data / IMAGES / subtask / name, data / subtask / IMAGES / name, data / subtask / name)
        picture = next((candidate for candidate in candidates if candidate.is_file()), None)
        if picture is None:
            raise DataError(f"{place}: no picture {name}; looked for {', '.join(map(str, candidates))}")
        numbers[name] = numbers.get(name, -1) + 1
        yield Query(f"{subtask}/{name}/{numbers[name]}", subtask, picture, question, _truth(truth, place))


def _lines(path: Path, num_fields: int) -> Iterator[tuple[str, list[str]]]:
    """(place, fields) of each line that is not empty. Raises DataError where a line has fewer fields."""
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.strip():
            fields = line.split("\t")
            if len(fields) < num_fields:
                raise DataError(
                    f"{path}, line {number}: {len(fields)} fields between tabs, {num_fields} are needed; {EXPECTED}"
                )
            yield f"{path}, line {number}", fields


def _truth(text: str, place: str) -> str:
    truth = text.strip().lower()
    if truth not in ("yes", "no"):
        raise DataError(f"{place}: the right answer is {text!r}; Yes or No is needed")
    return truth


def first_pictures(queries: Sequence[Query], limit: int) -> list[Query]:
    """All questions about the first `limit` pictures, the subtasks taking turns, in the order they came in."""
    pictures = {
        subtask: list(dict.fromkeys(query.image for query in queries if query.subtask == subtask))
        for subtask in dict.fromkeys(query.subtask for query in queries)
    }
    turns = [picture for turn in zip_longest(*pictures.values()) for picture in turn if picture is not None]
    chosen = set(turns[:limit])
    return [query for query in queries if query.image in chosen]


# Result files of the evaluation tool.


def result_files(folder: Path) -> list[Path]:
    """Those of a folder that has answers in it, lines of four fields; none otherwise."""
    paths = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    return [path for path in paths if any(len(fields) > 3 for _, fields in _lines(path, 1))]


def read_results(paths: Iterable[Path]) -> list[Replied]:
    rows = []
    for path in paths:
        for number, (place, (image, question, truth, answer, *_)) in enumerate(_lines(path, 4)):
            rows.append(
                Replied(
                    id=f"{path.stem}/{number}",
                    subtask=path.stem,
                    image=image,
                    question=question,
                    truth=_truth(truth, place),
                    answer=answer,
                )
            )
    return rows


def write_results(rows: Sequence[Replied], folder: Path) -> None:
    """One file for each subtask, as the evaluation tool reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for subtask in dict.fromkeys(row.subtask for row in rows):
        lines = [
            f"{row.image}\t{row.question}\t{row.truth.capitalize()}\t{row.answer}\n"
            for row in rows
            if row.subtask == subtask
        ]
        (folder / f"{subtask}.txt").write_text("".join(lines), encoding="utf-8")
