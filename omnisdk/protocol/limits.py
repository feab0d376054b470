"""How much of anything may cross the wire."""

MAX_INBOUND_FRAME_BYTES = 16 * 1024 * 1024  # one append may carry 15 MiB
MAX_OUTBOUND_FRAME_BYTES = 1024 * 1024 - 1024  # what clients with their library's default of 1 MiB still take
MAX_EVENT_ID_LENGTH = 512
MAX_DEPTH = 64  # of objects and lists inside of each other

WIRE_SAMPLE_RATE_HZ = 24_000  # PCM16 little endian, mono, in base64
TELEPHONE_SAMPLE_RATE_HZ = 8_000  # of G.711
BYTES_PER_SAMPLE = 2
BYTES_PER_SECOND = WIRE_SAMPLE_RATE_HZ * BYTES_PER_SAMPLE
MIN_SPEECH_MS = 100
MAX_SPEECH_S = 30.0

MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGE_PIXELS = 40_000_000
IMAGE_MIMES = ("image/png", "image/jpeg", "image/webp")

MAX_TEXT_LENGTH = 32_768  # characters of one text part
MAX_ID_LENGTH = 512
MAX_TOLD_BYTES = 256 * 1024  # of an object that a client sends and is told back, so that the frame stays small
MAX_ERROR_LENGTH = 1_000  # characters of an error's message; what a client sent may stand in it
MAX_PARAM_LENGTH = 256
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY_LENGTH, MAX_METADATA_VALUE_LENGTH = 64, 512  # characters
MAX_ITEMS = 512  # of one conversation
MAX_SIDE_RESPONSES = 8  # out-of-band responses at once
MAX_CONVERSATION_MEDIA_BYTES = 64 * 1024 * 1024  # encoded speech and pictures of one conversation

MIN_STEPS, MAX_STEPS = 1, 100
MAX_HYPOTHESES = 64
MAX_SEED = 2**63 - 1
MAX_CHANGE_STEP = 100_000
MAX_SLOTS = 8  # of a canvas that a client lays out
MAX_CHANGES = 256  # of one answer, wanted from its beginning

MAX_PREFIX_PADDING_MS = 2_000  # of turn detection
MIN_SILENCE_MS, MAX_SILENCE_MS = 50, 10_000
MIN_IDLE_MS, MAX_IDLE_MS = 100, 600_000

MIN_SPEED, MAX_SPEED = 0.25, 4.0  # of spoken answers, beside the model's own

# What a slot's settings may be; see SlotSettings.
MAX_SLOT_LENGTH = 1024  # positions
MAX_SLOT_STEPS = 1024
MAX_GAP = 64  # tokens the model fills in between given words
MAX_CONFIDENCE_NOISE = 20.0
MAX_PRIOR_WEIGHT = 2.0
MAX_COMMIT_BOUND = 100.0  # nats, where it is an entropy
MAX_TEMPERATURE = 2.0
MAX_TOP_K = 200_000  # more tokens than any vocabulary has
MIN_PENALTY, MAX_PENALTY = 1.0, 10.0
MAX_GUIDANCE_SCALE = 20.0
