from pathlib import Path

import pytest
import torch

from runtime.diffusion.canvas import Canvas, SpeechRows
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor, processor_has_bfloat16
from runtime.models.backbone import Backbone, BackboneConfig

VOCAB, HIDDEN = 50, 32


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone(BackboneConfig(VOCAB, HIDDEN, 48, 2, 2, 1, image_grid=2)).eval()


def canvas(length: int, seed: int, *speech: SpeechRows) -> Canvas:
    generator = torch.Generator().manual_seed(seed)
    cells = torch.full((length,), -1)
    cells[2:6] = torch.arange(4)
    return Canvas(
        token_ids=torch.randint(0, VOCAB, (length,), generator=generator),
        positions=torch.arange(length) * 0.75,
        image_cells=cells,
        slots=(),
        mask_id=VOCAB,
        speech=speech,
    )


def item(row: Canvas, *rows: int, vocabulary: tuple[int, int] = (0, VOCAB)) -> ForwardItem:
    return ForwardItem(row, torch.tensor(rows), vocabulary)


def test_scores_are_those_of_the_bare_backbone_one_position_back(backbone: Backbone) -> None:
    row = canvas(9, 1)
    (scores,) = InProcessExecutor(backbone, "float32").forward([item(row, 3, 8, vocabulary=(10, 30))])
    with torch.inference_mode():
        embedded = backbone.embed(row.token_ids[None], row.image_cells[None])
        expected = backbone.lm_head(backbone.hidden(embedded, row.positions[None]))[0]
    torch.testing.assert_close(scores, expected[[2, 7], 10:30])
    assert scores.dtype == torch.float32


def test_who_shares_the_batch_makes_no_difference(backbone: Backbone) -> None:
    executor = InProcessExecutor(backbone, "float32")
    short, long = item(canvas(7, 1), 2, 6), item(canvas(20, 2), 19)
    together = executor.forward([short, long])
    assert torch.equal(together[0], executor.forward([short])[0])
    assert torch.equal(together[1], executor.forward([long])[0])


def test_items_of_one_canvas_share_a_pass(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = InProcessExecutor(backbone, "float32")
    sizes = []
    hidden = backbone.hidden
    monkeypatch.setattr(backbone, "hidden", lambda x, *rest: sizes.append(len(x)) or hidden(x, *rest))
    row = canvas(7, 1)
    one, two = executor.forward([item(row, 2), item(row, 3, 4)])
    assert sizes == [1]
    torch.testing.assert_close(torch.cat([one, two]), executor.forward([item(row, 2, 3, 4)])[0])


def test_speech_stands_in_place_of_its_tokens(backbone: Backbone) -> None:
    executor = InProcessExecutor(backbone, "float32")
    speech = SpeechRows(1, torch.randn(3, HIDDEN))
    spoken = canvas(8, 1, speech)
    (scores,) = executor.forward([item(spoken, 7)])
    assert not torch.allclose(scores, executor.forward([item(canvas(8, 1), 7)])[0])
    other_tokens = Canvas(
        torch.cat([spoken.token_ids[:1], (spoken.token_ids[1:4] + 1) % VOCAB, spoken.token_ids[4:]]),
        spoken.positions,
        torch.full((8,), -1),
        (),
        VOCAB,
        (speech,),
    )
    without_cells = Canvas(spoken.token_ids, spoken.positions, other_tokens.image_cells, (), VOCAB, (speech,))
    torch.testing.assert_close(
        executor.forward([item(other_tokens, 7)])[0], executor.forward([item(without_cells, 7)])[0]
    )


def test_nothing_asked_nothing_done(backbone: Backbone) -> None:
    assert InProcessExecutor(backbone).forward([]) == []


def test_bfloat16_is_close_and_answers_in_float32(backbone: Backbone) -> None:
    row = item(canvas(7, 1), 2, 6)
    (wide,) = InProcessExecutor(backbone, "float32").forward([row])
    (narrow,) = InProcessExecutor(backbone, "bfloat16").forward([row, item(canvas(9, 3), 2)])[:1]
    assert narrow.dtype == torch.float32
    assert not torch.equal(narrow, wide)
    torch.testing.assert_close(narrow, wide, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("flags", "has"), [("sse avx512_bf16", True), ("amx_bf16", True), ("avx2 avx512f", False)])
def test_bfloat16_needs_the_processor(tmp_path: Path, flags: str, has: bool) -> None:
    description = tmp_path / "cpuinfo"
    description.write_text(f"flags\t\t: fpu {flags} sse2\n")
    assert processor_has_bfloat16(description) is has


def test_a_processor_that_cannot_be_read_has_no_bfloat16(tmp_path: Path) -> None:
    assert processor_has_bfloat16(tmp_path / "nothing") is False


def test_an_unknown_precision_is_refused(backbone: Backbone) -> None:
    with pytest.raises(ValueError, match=r"'float8'.*auto, float32, bfloat16"):
        InProcessExecutor(backbone, "float8")  # type: ignore[arg-type]


def test_threads_are_set_on_request(backbone: Backbone) -> None:
    before = torch.get_num_threads()
    try:
        InProcessExecutor(backbone, num_threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_compiling_is_asked_for_and_changes_nothing_else(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda work, dynamic: compiled.append(dynamic) or work)
    monkeypatch.setattr(backbone, "hidden", backbone.hidden)
    (plain,) = InProcessExecutor(backbone, "float32").forward([item(canvas(9, 1), 3)])
    assert compiled == []
    (scores,) = InProcessExecutor(backbone, "float32", compiled=True).forward([item(canvas(9, 1), 3)])
    assert torch.equal(scores, plain)
    assert compiled == [True]
