"""What `omni bench` offers."""

from runtime.benchmarks.fidelity import fidelity
from runtime.benchmarks.loading import loading
from runtime.benchmarks.session import session
from runtime.benchmarks.step import step

COMMANDS = (step, session, loading, fidelity)
