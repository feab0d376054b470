"""Learn the text codec from the world's own sentences: `python -m runtime.training.text`."""

import random
from pathlib import Path

import click

from runtime.codecs.text import TextCodec
from runtime.training.data.fetch import cache_folder
from runtime.training.world import questions, random_scene, request_to_draw

NUM_TOKENS = 1024
NUM_SENTENCES = 40_000


def corpus(rng: random.Random) -> list[str]:
    """Sentences as they are said and answered in the training world."""
    sentences = ["user", "assistant", "system"]
    while len(sentences) < NUM_SENTENCES:
        scene = random_scene(rng)
        question = rng.choice(questions(scene, rng))
        sentences += [request_to_draw(scene, rng), question.text, question.answer]
    return sentences


def text_codec(cache: Path) -> TextCodec:
    """The learned codec, made at the first call."""
    path = cache / "runs" / "tokenizer.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        TextCodec.train(corpus(random.Random(0)), NUM_TOKENS).save(path)
    return TextCodec.load(path)


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
def main(cache: Path) -> None:
    """Learn the text codec."""
    codec = text_codec(cache)
    print(f"text codec: {codec.num_tokens} tokens")


if __name__ == "__main__":
    main()
