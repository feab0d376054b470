"""The nucleus in C, compiled by the system's compiler when it is first wanted and kept in the user's cache."""

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

log = logging.getLogger(__name__)
HALF = 65_536  # buckets, as in nucleus.c
Kernel = Callable[..., None]


def nucleus(scores: Tensor, probabilities: Tensor, mass: float) -> Tensor | None:
    """(rows, vocab) float32, contiguous, on the processor -> bool of that shape; None where nothing can be compiled."""
    kernel = compiled()
    if kernel is None:
        return None
    kept = torch.empty(scores.shape, dtype=torch.bool)
    masses, counts = torch.empty(HALF, dtype=torch.float64), torch.empty(HALF, dtype=torch.int32)
    rows, vocab = scores.shape
    tensors = (scores, probabilities, kept)
    kernel(*(t.data_ptr() for t in tensors), rows, vocab, mass, masses.data_ptr(), counts.data_ptr())
    return kept


@lru_cache(maxsize=1)
def compiled() -> Kernel | None:
    """The kernel; None, told once, where there is no compiler or it fails."""
    try:
        library = ctypes.CDLL(str(build(cache_folder())))
    except (OSError, subprocess.SubprocessError) as error:
        log.info("no compiled nucleus, torch does its work: %s", error)
        return None
    kernel = library.nucleus
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    kernel.argtypes = [pointer, pointer, pointer, number, number, ctypes.c_double, pointer, pointer]
    kernel.restype = None
    return kernel


def build(folder: Path) -> Path:
    """The library, named by its source. Raises OSError without a compiler and SubprocessError when it fails."""
    source = resources.files("runtime.diffusion").joinpath("nucleus.c").read_bytes()
    path = folder / f"nucleus-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if path.is_file():
        return path
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise OSError("no C compiler (cc, gcc, clang) was found")
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    command = [compiler, "-O3", "-shared", "-fPIC", "-x", "c", "-", "-o", str(unfinished)]
    subprocess.run(command, input=source, check=True, capture_output=True, timeout=60)
    unfinished.replace(path)  # whole or not at all, also when two begin together
    return path


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omni" / "kernels"
