"""What `omni bench` offers."""

from runtime.benchmarks.barge_in import barge_in
from runtime.benchmarks.batching import batching
from runtime.benchmarks.cancel import cancel
from runtime.benchmarks.fidelity import fidelity
from runtime.benchmarks.first_sound import first_sound
from runtime.benchmarks.load import load
from runtime.benchmarks.loading import loading
from runtime.benchmarks.quality import quality
from runtime.benchmarks.reuse import reuse
from runtime.benchmarks.session import session
from runtime.benchmarks.sessions import sessions
from runtime.benchmarks.step import step
from runtime.benchmarks.swarm.command import swarm
from runtime.benchmarks.wire import wire_command

COMMANDS = (
    barge_in,
    sessions,
    swarm,
    step,
    quality,
    batching,
    cancel,
    load,
    first_sound,
    reuse,
    session,
    wire_command,
    loading,
    fidelity,
)
