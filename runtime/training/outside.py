"""What lies outside the world of the embedded model, so that it learns to say so: other things, and small talk.

One other thing in five, and one line of small talk in five, are kept for testing (`kept_for_tests`, a hash).
"""

import hashlib
import random

UNKNOWN = "i do not know that"

# Names that the four emoji sets have a drawing of, spoken as they are written.
_NAMES = (
    "abacus accordion alien ambulance anchor ant avocado axe backpack badger bagel banjo baseball basket basketball "
    "bat bathtub battery beaver bed beetle bicycle bison blowfish bone boomerang bouquet brain brick briefcase "
    "broccoli broom bucket bug burrito butter calendar camel camera candle candy canoe chair cherries chestnut "
    "chicken chipmunk church coat cockroach coconut coin compass cow crayon cricket crocodile croissant cucumber "
    "cupcake dagger deer desert dodo dolphin donkey door dove dragon dress drum duck dumpling eagle ear egg eggplant "
    "elevator envelope eye factory feather ferry fire flamingo flashlight flute fountain garlic gear ghost giraffe "
    "glasses goat goblin goose gorilla hammer hamster headphone hedgehog helicopter hippopotamus honeybee hook horse "
    "hospital hotel jar jeans jellyfish kangaroo kite koala ladder laptop leopard lipstick lizard llama lobster "
    "lollipop magnet mammoth maracas melon microphone microscope mirror moose mosque mosquito motorcycle mountain "
    "mouse necktie newspaper notebook olive onion orangutan otter oyster paintbrush pancakes paperclip parachute "
    "parrot peach peacock peanuts pencil pie pill popcorn potato pretzel printer purse raccoon radio rainbow ram rat "
    "razor rhinoceros ribbon ring robot rooster sandwich saxophone scarf scissors screwdriver scroll seal seat shark "
    "shield ship shrimp skateboard skull skunk sled sloth snail snowflake soap socks spaghetti sponge spoon squid "
    "stadium stethoscope stopwatch sushi swan taco teapot telephone telescope television thermometer tiger toilet "
    "tooth toothbrush tornado tractor trophy trumpet turkey unicorn violin volcano volleyball waffle watch wheel "
    "window wolf worm yarn zebra"
)
OTHER_THINGS = tuple(_NAMES.split())

# What people say first, and what is a good answer to it; the answers are few, so that they are learnt.
SMALL_TALK: dict[str, tuple[str, ...]] = {
    "hello": ("hello", "hello there", "hi", "hi there", "hey", "good morning", "good evening", "good afternoon"),
    "i am fine": ("how are you", "how are you today", "how is it going", "are you well", "how do you do"),
    "i draw and name things": (
        "what can you do", "what do you do", "who are you", "what are you", "help", "how can you help me",
        "what should i ask", "tell me about yourself",
    ),
    "you are welcome": ("thank you", "thanks", "thank you very much", "many thanks", "thanks a lot", "great, thanks"),
    "goodbye": ("goodbye", "bye", "see you", "see you later", "good night", "bye bye", "until tomorrow"),
}  # fmt: skip

# What it is asked as well and cannot know.
BEYOND = (
    "what time is it", "what is the weather like", "tell me a joke", "sing a song", "who is the president",
    "what is the capital of france", "how old are you", "where do you live", "what is two plus two",
    "translate this into french", "write a poem", "what day is it today", "play some music", "call my mother",
    "how far is the moon", "what is your favorite food", "who wrote this book", "read me the news",
    "how do i cook rice", "what is the meaning of life", "can you swim", "do you like me", "where is my phone",
    "what happened yesterday", "why is the sky blue", "how tall is that mountain", "book a flight to rome",
    "what is my name", "explain gravity", "tell me a story", "when does the shop open", "how much does it cost",
)  # fmt: skip


def kept_for_tests(words: str) -> bool:
    """True for one phrase in five, always the same ones."""
    return int(hashlib.md5(f"outside|{words}".encode()).hexdigest(), 16) % 5 == 0


def other_things(*, for_tests: bool = False) -> list[str]:
    return [name for name in OTHER_THINGS if kept_for_tests(name) == for_tests]


def small_talk(rng: random.Random, *, for_tests: bool = False) -> tuple[str, str]:
    """(what is said, the answer); a question it cannot know the answer of every other time."""
    if rng.random() < 0.5:
        return rng.choice([line for line in BEYOND if kept_for_tests(line) == for_tests]), UNKNOWN
    pairs = [(said, answer) for answer, lines in SMALL_TALK.items() for said in lines]
    return rng.choice([pair for pair in pairs if kept_for_tests(pair[0]) == for_tests])
