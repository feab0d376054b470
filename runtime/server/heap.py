"""Memory that is given back, and garbage that is found without a pause."""

import ctypes
import gc
import os

M_ARENA_MAX = -8  # of glibc's malloc.h


def share_one_heap() -> None:
    """All threads that begin from now on allocate from the heap of the first one.

    Else glibc gives each a heap of its own, what one has freed serves no other, and a server grows for as long as new
    threads meet new sizes: with 50 sessions by 20 MB in a minute, though Python keeps nothing more. A step takes as
    long either way. Where the C library is another one nothing is done, nor where MALLOC_ARENA_MAX is set.
    """
    if "MALLOC_ARENA_MAX" in os.environ or os.name != "posix":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def settle() -> None:
    """What was made until now, modules and models, lasts as long as the process: it is looked through no more.

    Each look took 120 ms, in which every thread stood still, and the last one held up the end of the process.
    """
    gc.collect()
    gc.freeze()
