"""What the embedded model's answers mean and what is meant by what it is told: the rules that its model file gets."""

from runtime.engine.rules import Claim, Explained, FollowUp, FollowUps, Implied, Unsure, Wording
from runtime.training.outside import UNKNOWN
from runtime.training.world import BACKGROUNDS, THINGS, plural

# What it was taught to refuse: to name things in pictures, and to draw things, that it does not know. The margin is
# what `omni eval unsure` found for version 2; of 120 requests for what it knows none is refused at it.
SEEING = ("image_to_text", "speech_and_image_to_text", "image_to_speech", "speech_and_image_to_speech")
DRAWING = ("text_to_image", "speech_to_image", "text_to_image_and_speech", "speech_to_image_and_speech")
UNSURE = Unsure(UNKNOWN, 1.2, SEEING + DRAWING)
# What its answers about a picture say that could have been asked for.
ON_BACKGROUND = "on a {what color is the background?} background"
SEVERAL = "draw {how many things are there?} {answer}"
NAMED = r".*\b{1}(?:y|ys|ies|s|es)?\b.*"  # one of it or several
EXPLAINED = Explained(
    claims=(
        Claim(r"what is this\??", (f"draw a {{answer}} {ON_BACKGROUND}",)),
        Claim(r"what are these\??", (f"{SEVERAL}s {ON_BACKGROUND}", f"{SEVERAL} {ON_BACKGROUND}")),
        Claim(
            r"what is (to the left of|to the right of|above|below) the (.+?)\??",
            (f"draw a {{answer}} {{1}} a {{2}} {ON_BACKGROUND}",),
        ),
        Claim(r"what do you see\??|describe the picture\.?", ("draw {answer}",)),
    ),
    recipes=SEEING,
    weight=0.04,
    implied=(Implied(r"is there (?:an? )?(.+?)y?\??", "what do you see?", {"yes": NAMED, "no": f"(?!{NAMED}).*"}),),
)
# Ways to say what the world's templates say in one way.
POLITE = r"(?:(?:please|hey|hi|ok|okay|so|now),? )*"
END = "(?:,? please)?[.?!]*"
PICTURE = "(?:the|this|that) (?:picture|image|photo|drawing)"
WHAT_IS = "(?:what's|whats|what is)"
YOU = "(?:(?:can|could|would|will) you |i want(?: you to)? |i'd like(?: you to)? )?(?:please )?"
WORDINGS = tuple(
    Wording(f"{POLITE}{said}{END}", meant)
    for said, meant in (
        (f"{WHAT_IS} (?:this|that|it)(?: thing)?", "what is this?"),
        ("(?:which|what) (?:animal|thing|fruit|object|kind of thing) is (?:this|that|it)", "what is this?"),
        (f"{WHAT_IS} (?:in|on|shown in) {PICTURE}", "what do you see?"),
        (f"what (?:can|do) you see(?: here| in {PICTURE})?|caption (?:this|it|{PICTURE})", "what do you see?"),
        (f"describe (?:this|it|what you see|{PICTURE})", "describe the picture"),
        (f"how many(?: things)?(?: are(?: there)?| do you see)?(?: in {PICTURE})?", "how many things are there?"),
        ("(?:what|which) colou?r (?:is|has) (?:the|its) background", "what color is the background?"),
        (f"{WHAT_IS} the (?:background colou?r|colou?r of the background)", "what color is the background?"),
        (f"(?:can|do) you see (an? .+?)(?: in {PICTURE})?", "is there {1}?"),
        (f"is (?:there )?(an? .+?) in {PICTURE}", "is there {1}?"),
        (f"{WHAT_IS} (?:on the |to the |)(left|right) of the (.+?)", "what is to the {1} of the {2}?"),
        (f"{WHAT_IS} (?:under|underneath|beneath|below) the (.+?)", "what is below the {1}?"),
        (f"{WHAT_IS} (?:over|on top of|above) the (.+?)", "what is above the {1}?"),
        (f"{YOU}(?:(?:create|generate|make|draw|paint|sketch|show|give)(?: me| us)? )?"
         "an? (?:picture|image|drawing|photo|painting) (?:of|with|showing) (.+?)", "draw {1}"),
        (f"{YOU}(?:draw|paint|sketch)(?: me| us)? (.+?)", "draw {1}"),
    )
)  # fmt: skip
# Wishes about the last picture, and what that shows, in the words of its caption or of who asked for it.
NUMBER = "two|three|four"
LEAD = r"(?:(?:please|and|but|okay|ok|then|now),? )*(?:(?:can|could|would|will) you )?(?:please )?"
CHANGE = "(?:make (?:it|that|them|those)|turn (?:it|that|them) into|change (?:it|that|them) to|now)"
WANT = "(?:i want|i'd like|give me|draw|show me|paint|make it)"
SHOWN = "(?:please )?(?:draw |show me |paint )?"
GROUND = rf"on (?P<ground>an? \w+ background){END}"
ALONE = rf"{SHOWN}(?:(?:an?|{NUMBER}) )?(?P<noun>[a-z ]+?) {GROUND}"
SOME = rf"{SHOWN}(?P<number>{NUMBER}) (?P<noun>[a-z ]+?) {GROUND}"
COLOR = f"(?:an? )?({'|'.join(BACKGROUNDS)})(?: background)?"
FOLLOW_UPS = FollowUps(
    rules=(
        *(
            FollowUp(
                f"{LEAD}{asked} {COLOR}{END}",
                rf"{SHOWN}(?P<things>.+) on an? \w+ background{END}",
                "draw {things} on {a 1} background",
            )
            for asked in ("(?:make|change|turn|paint) (?:it|that|the background)(?: to| into)?", "(?:on|with)")
        ),
        *(
            FollowUp(f"{LEAD}{asked}{END}", ALONE, request + " on {ground}")
            for number, request in (("one", "draw {one noun}"), (f"({NUMBER})", "draw {1} {many noun}"))
            for asked in (f"{CHANGE} {number}", f"(?:{WANT} )?{number} (?:of (?:it|them|those)|instead)")
        ),
        *(
            FollowUp(f"{LEAD}{asked}{END}", before, request)
            for before, article, request in (
                (SOME, "", "draw {number} {many 1} on {ground}"),
                (ALONE, "(?:an? )?", "draw {one 1} on {ground}"),
            )
            for asked in (f"{CHANGE} {article}([a-z ]+?)", f"(?:{WANT} )?{article}([a-z ]+?) instead")
        ),
    ),
    plurals={thing: plural(thing) for thing in THINGS},
)
