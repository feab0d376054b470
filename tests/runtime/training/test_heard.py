from pathlib import Path

import numpy as np

from runtime.engine.model import load_model
from runtime.training.data.speech import PARTS, Utterance, shard_path, write_shard
from runtime.training.heard import COPIES, listen, load_heard
from runtime.training.unpack import unpack
from runtime.training.world import parse_request


def test_so_many_of_each_engine_are_heard(tmp_path: Path) -> None:
    unpack(load_model(), tmp_path / "runs")
    rng = np.random.default_rng(0)
    texts = ["draw a cat on a red background", "what is this?", "an owl"]
    for part in (part for part in PARTS if part.split == "train"):
        voice = f"{part.engine}/{part.voices[0]}"
        noise = [Utterance(text, voice, rng.integers(-3000, 3000, 8000).astype(np.int16), None) for text in texts]
        write_shard(shard_path(tmp_path, part, 0), noise)
    listen(tmp_path, most=2)
    heard = load_heard(tmp_path)
    for engine, copies in COPIES.items():
        assert [h.text for h in heard if h.engine == engine] == [t for t in texts[:2] for _ in range(copies)]
    assert {h.scene for h in heard} == {parse_request(texts[0]), None}
    assert all(h.encoded.shape[1] == 256 and len(h.encoded) > 4 for h in heard)
