"""What `omni eval` offers."""

from runtime.evaluation.card import card
from runtime.evaluation.human_voice import human
from runtime.evaluation.presets import presets
from runtime.evaluation.published.commands import COMMANDS as PUBLISHED
from runtime.evaluation.report_card import quality
from runtime.evaluation.speaking import speaking
from runtime.evaluation.structured_outputs import forms
from runtime.evaluation.tool_calls import tools
from runtime.evaluation.unsure import unsure

COMMANDS = (quality, speaking, human, tools, forms, presets, unsure, card, *PUBLISHED)
