import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.training.published.samples import Message, SampleError, parse, read_samples

USER = {"role": "user", "content": "hello"}
ASSISTANT = {"role": "assistant", "content": "good morning"}
ROOT = Path("media")


def test_a_line_becomes_a_conversation_with_its_files(tmp_path: Path) -> None:
    heard = {"role": "user", "content": "<|audio|>\n<|image|>"}
    line = json.dumps({"messages": [heard, ASSISTANT], "audios": ["clips/1.wav"], "images": ["1.png"]})
    (tmp_path / "a.jsonl").write_text(f"\n{line}\n")
    (sample,) = read_samples(tmp_path / "a.jsonl")
    assert sample.messages == (Message("user", "<|audio|>\n<|image|>"), Message("assistant", "good morning"))
    assert sample.audios == (tmp_path / "clips" / "1.wav",)
    assert sample.images == (tmp_path / "1.png",)
    assert sample.where == f"{tmp_path / 'a.jsonl'}:2"


def test_files_lie_under_the_media_root_unless_they_are_absolute(tmp_path: Path) -> None:
    heard = {"role": "user", "content": "<|audio|><|audio|>"}
    line = json.dumps({"messages": [heard, ASSISTANT], "audios": ["1.wav", "/elsewhere/2.wav"]})
    (tmp_path / "a.jsonl").write_text(line)
    (sample,) = read_samples(tmp_path / "a.jsonl", ROOT)
    assert sample.audios == (ROOT / "1.wav", Path("/elsewhere/2.wav"))


def test_lines_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": [USER, ASSISTANT]}) + "\nbroken\n")
    samples = read_samples(tmp_path / "a.jsonl")
    assert next(samples).messages[0].content == "hello"
    with pytest.raises(SampleError, match=r"a\.jsonl:2: no JSON"):
        next(samples)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "no messages; a line looks like"),
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "one of system, user, assistant"),
        ({"messages": [{"role": "user"}]}, "and a content"),
        ({"messages": ["hello"]}, "a message is hello"),
        ({"messages": [USER]}, "no message of the assistant"),
        ({"messages": [USER, ASSISTANT], "audios": "1.wav"}, "a list of file names"),
        ({"messages": [USER, ASSISTANT], "images": [1]}, "a list of file names"),
        ({"messages": [USER, ASSISTANT], "images": ["1.png"]}, r"0 tags <\|image\|> but 1 images"),
        ({"messages": [{"role": "user", "content": "<|audio|>"}, ASSISTANT]}, r"1 tags <\|audio\|> but 0 audios"),
    ],
)
def test_what_is_no_sample_is_refused_with_its_place(content: Any, said: str) -> None:
    with pytest.raises(SampleError, match=rf"^a\.jsonl:7: .*{said}"):
        parse(json.dumps(content), ROOT, "a.jsonl:7")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r"gone\.jsonl: cannot be read"):
        next(read_samples(tmp_path / "gone.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(SampleError, match=r"latin\.jsonl: cannot be read .*UTF-8"):
        next(read_samples(tmp_path / "latin.jsonl"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({"messages": JSON}, optional={"audios": JSON, "images": JSON}) | JSON)
def test_any_line_is_a_sample_or_refused(content: Any) -> None:
    try:
        assert parse(json.dumps(content), ROOT, "a.jsonl:1").messages
    except SampleError as error:
        assert str(error).startswith("a.jsonl:1: ")  # noqa: PT017 - either outcome is right
