import json
from pathlib import Path

import numpy as np
import pytest

from omnisdk.conversation import Conversation, ToolCall, ToolResult
from omnisdk.errors import MediaError, OmniError
from omnisdk.media import Image, Speech
from omnisdk.saving import INDEX

SPEECH = Speech(np.arange(2_400, dtype=np.int16), sample_rate_hz=24_000).with_transcript("hm")
PICTURE = Image(np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8))
CHAT = (
    Conversation(system="Be brief.")
    .user("what is this?", PICTURE)
    .assistant("a “cat”")
    .user(SPEECH)
    .assistant(ToolCall("f", '{"a": 1}', "call_1"))
    .user(ToolResult("call_1", "done"))
)


@pytest.mark.parametrize("name", ["chat.omni", "chat.json"])
def test_what_is_loaded_is_what_was_saved(tmp_path: Path, name: str) -> None:
    loaded = Conversation.load(CHAT.save(tmp_path / "a" / name))
    assert loaded.system == "Be brief."
    assert [(item.id, item.role, item.status) for item in loaded.items] == [
        (item.id, item.role, item.status) for item in CHAT.items
    ]
    before, after = ([part for item in chat.items for part in item.parts] for chat in (CHAT, loaded))
    assert after[0] == before[0]
    assert isinstance(after[1], Image)
    assert np.array_equal(np.asarray(after[1].pixels), np.asarray(PICTURE.pixels))
    assert after[2] == before[2]
    assert isinstance(after[3], Speech)
    assert np.array_equal(after[3].pcm, SPEECH.pcm)
    assert after[3].transcript == "hm"
    assert after[4:] == before[4:]


def test_an_empty_one(tmp_path: Path) -> None:
    assert Conversation.load(Conversation().save(tmp_path / "c")) == Conversation()


@pytest.mark.parametrize("name", ["c", "c.json"])
@pytest.mark.parametrize("seconds", [0, 40])
def test_speech_that_a_model_said_at_length_and_of_which_nothing_was_heard(
    tmp_path: Path, name: str, seconds: int
) -> None:
    said = Speech.said(np.full(seconds * 24_000, 7, np.int16), 24_000, "at length" if seconds else None)
    chat = Conversation().user("tell me").assistant(said)
    assert Conversation.load(chat.save(tmp_path / name)) == chat


@pytest.mark.parametrize("kept", [20, 2_000])
def test_speech_that_was_written_by_half(tmp_path: Path, kept: int) -> None:
    folder = CHAT.save(tmp_path / "c")
    (sound,) = folder.glob("*.wav")
    sound.write_bytes(sound.read_bytes()[:kept])
    with pytest.raises(MediaError, match="speech of the conversation is damaged"):
        Conversation.load(folder)


def test_a_file_replaces_a_conversation_and_nothing_else(tmp_path: Path) -> None:
    file = CHAT.save(tmp_path / "c.json")
    Conversation().user("new").save(file)
    assert str(Conversation.load(file)) == "user: new"
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    file.write_text('{"name": "a package"}')
    with pytest.raises(OmniError, match="is damaged"):
        CHAT.save(file)
    assert file.read_text() == '{"name": "a package"}'


def test_it_replaces_what_was_saved_there_before(tmp_path: Path) -> None:
    CHAT.save(tmp_path / "c")
    Conversation().user("new").save(tmp_path / "c")
    assert [path.name for path in (tmp_path / "c").iterdir()] == [INDEX]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]  # nothing is left beside it


def test_it_replaces_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(OmniError, match="holds no conversation"):
        CHAT.save(tmp_path / "letters")


def test_what_fails_on_the_way_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Conversation().user("old").save(tmp_path / "c")
    monkeypatch.setattr(Image, "png", property(lambda _: (_ for _ in ()).throw(OSError("disk full"))))
    with pytest.raises(OmniError, match=r"cannot be written .*disk full"):
        CHAT.save(tmp_path / "c")
    assert str(Conversation.load(tmp_path / "c")) == "user: old"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def one_item(**wrong: object) -> str:
    item = {"id": "a", "role": "user", "status": "completed", "parts": [], **wrong}
    return json.dumps({"format": "omni.conversation.v1", "system": None, "items": [item]})


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"format": "omni.conversation.v1", "system": null, "items": [{}]}', "is damaged"),
        (one_item(role="wizard"), "is damaged .*wizard"),
        (one_item(status=5), "is damaged"),
        (one_item(id=5), "5 stands where text"),
        (one_item(parts=[{"text": 5}]), "5 stands where text"),
        (one_item(parts=[{"smell": "rose"}]), "is damaged"),
        ('{"format": "omni.conversation.v9", "system": null, "items": []}', "this version reads omni.conversation.v1"),
    ],
)
def test_files_that_are_none(tmp_path: Path, index: str, told: str) -> None:
    (tmp_path / INDEX).write_text(index)
    with pytest.raises(OmniError, match=told):
        Conversation.load(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(OmniError, match=r"give what Conversation\.save wrote"):
        Conversation.load(tmp_path / "nix")


def test_media_outside_of_the_folder_are_not_read(tmp_path: Path) -> None:
    folder = CHAT.save(tmp_path / "c")
    PICTURE.save(tmp_path / "secret.png")
    index = json.loads((folder / INDEX).read_text())
    index["items"][0]["parts"][1]["image"] = "../secret.png"
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(MediaError, match="is missing"):
        Conversation.load(folder)
