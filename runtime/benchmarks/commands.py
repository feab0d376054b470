"""What `omni bench` offers."""

from runtime.benchmarks.session import session
from runtime.benchmarks.step import step

COMMANDS = (step, session)
