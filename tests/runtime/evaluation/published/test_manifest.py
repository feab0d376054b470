import json
from pathlib import Path

import pytest

from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.manifest import AUDIO_NAMES, PROMPT_NAMES, TEXT_NAMES, digest_of, read_manifest

SPEECH = {"audio": AUDIO_NAMES, "text": TEXT_NAMES}
PROMPT = {"prompt": PROMPT_NAMES}


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines_by_their_usual_names(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.jsonl",
        '{"audio": "1.wav", "text": "one"}\n\n{"id": "x", "audio_filepath": "2.wav", "sentence": "two", "more": 1}\n',
    )
    assert read_manifest(path, SPEECH) == [
        {"id": "00000", "audio": "1.wav", "text": "one"},
        {"id": "x", "audio": "2.wav", "text": "two"},
    ]


def test_rows_of_the_published_models_training_format(tmp_path: Path) -> None:
    asr = {
        "messages": [
            {"role": "user", "content": "Convert the speech to text.\n<|audio|>"},
            {"role": "assistant", "content": "HE HOPED"},
        ],
        "audios": ["/data/1.flac"],
    }
    tts = {
        "messages": [
            {"role": "user", "content": "Convert the text to speech.\nHe hoped."},
            {"role": "assistant", "content": "<|audio|>"},
        ],
        "audios": ["/data/2.wav"],
    }
    path = written(tmp_path / "a.jsonl", f"{json.dumps(asr)}\n{json.dumps(tts)}\n")
    assert read_manifest(path, SPEECH) == [
        {"id": "00000", "audio": "/data/1.flac", "text": "HE HOPED"},
        {"id": "00001", "audio": "/data/2.wav", "text": "He hoped."},
    ]


@pytest.mark.parametrize(
    "table",
    [
        '1.wav\tone\n2.wav\t"two" o\'clock\n',
        'audio\ttext\n1.wav\tone\n2.wav\t"two" o\'clock\n',
        'client\tsentence\tPath\nx\tone\t1.wav\ny\t"two" o\'clock\t2.wav\n',
    ],
)
def test_tables_with_and_without_a_header(table: str, tmp_path: Path) -> None:
    items = read_manifest(written(tmp_path / "a.tsv", table), SPEECH)
    assert [(item["audio"], item["text"]) for item in items] == [("1.wav", "one"), ("2.wav", '"two" o\'clock')]


def test_a_line_of_plain_text_is_an_item(tmp_path: Path) -> None:
    items = read_manifest(written(tmp_path / "a.txt", "a red apple\n\n a dog \n"), PROMPT)
    assert [(item["id"], item["prompt"]) for item in items] == [("00000", "a red apple"), ("00001", "a dog")]


def test_captions_of_coco(tmp_path: Path) -> None:
    coco = {"images": [{"id": 7}], "annotations": [{"image_id": 7, "id": 770, "caption": "A dog."}]}
    items = read_manifest(written(tmp_path / "captions.json", json.dumps(coco)), PROMPT)
    assert items == [{"id": "770", "prompt": "A dog."}]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.jsonl", '{"text": "one"}\n', r"line 1: no audio; it was looked for as audio, .*; there is text"),
        ("a.jsonl", '{"text": \n', "line 1: is not JSON"),
        ("a.jsonl", "\n", "nothing in it"),
        ("a.tsv", "1.wav\tone\n2.wav\n", "row 2: no text"),
        ("a.tsv", "", "nothing in it"),
        ("a.txt", "one\n", r"audio and text are needed.*\.jsonl"),
        ("a.json", '[{"text": "one"}]', '"annotations"'),
        ("a.jsonl", '{"id": 1, "audio": "a", "text": "b"}\n' * 2, "id '1' occurs twice"),
    ],
)
def test_what_is_wrong_is_said(name: str, text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        read_manifest(written(tmp_path / name, text), SPEECH)


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_manifest(tmp_path / "a.txt", PROMPT)


def test_the_digest_tells_files_apart(tmp_path: Path) -> None:
    one, other = written(tmp_path / "a.txt", "a"), written(tmp_path / "b.txt", "b")
    assert digest_of(one) == digest_of(one) != digest_of(other)
