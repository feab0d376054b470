"""What `omni eval` offers."""

from runtime.evaluation.report_card import quality

COMMANDS = (quality,)
