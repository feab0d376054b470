import pytest

from runtime.server.request_words import asks_about_picture, asks_to_draw


@pytest.mark.parametrize(
    "words",
    [
        "what is this?",
        "what do you see?",
        "describe the picture",
        "can you describe the picture",
        "how many things are there?",
        "what is to the left of the dog",  # as it is heard, without its mark
        "is there a cat?",
        "tell me what you see",
        "the cat?",
        "¿qué hay a la izquierda?",
    ],
)
def test_questions_about_what_is_seen(words: str) -> None:
    assert asks_about_picture(words)
    assert not asks_to_draw(words)


@pytest.mark.parametrize(
    "words",
    [
        "draw a red cat on a blue background",
        "a red cat on the left of a dog",
        "please paint two dogs",
        "can you draw me a picture of a cat?",
        "show me a lemon",
        "Three Lemons.",
        "i want a picture of a cat",
        "cat on a blue background",  # as it is heard at times
    ],
)
def test_drawings(words: str) -> None:
    assert asks_to_draw(words)
    assert not asks_about_picture(words)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "hello",
        "how are you?",
        "what is your name?",
        "what can you do?",
        "good morning",
        "turn on the light",
        "i sit on a train",
        "!",
    ],
)
def test_what_is_neither(words: str) -> None:
    assert not asks_to_draw(words)
    assert not asks_about_picture(words)
