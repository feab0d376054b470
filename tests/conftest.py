"""What holds for every test: one thread for torch, the same examples on every run."""

import os

import pytest
from hypothesis import settings

from omnisdk.pytest_plugin import scripted as scripted  # the same fixture, whether the package is installed here or not

# Before anything imports torch. Tiny models are slower on many threads, and tests must not fight for cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
