import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.server.heap import settle

TOLD = """
import ctypes, sys, threading
if sys.argv[2] == "one":
    from runtime.server.heap import share_one_heap
    share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
met = threading.Barrier(4)
def allocate():
    met.wait()
    libc.malloc(ctypes.c_size_t(10_000))
threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def heaps(file: Path, which: str) -> int:
    """Of a process whose threads allocate."""
    unset = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    subprocess.run([sys.executable, "-c", TOLD, str(file), which], check=True, env=unset)
    return file.read_text().count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_info"), reason="of glibc's heaps")
def test_threads_share_one_heap(tmp_path: Path) -> None:
    assert heaps(tmp_path / "own", "own") > 1
    assert heaps(tmp_path / "one", "one") == 1


def test_what_stands_is_not_looked_through_again() -> None:
    lasting = [{} for _ in range(1000)]
    settle()
    try:
        assert gc.get_freeze_count() > len(lasting)
        assert len(gc.get_objects()) < 1000
    finally:
        gc.unfreeze()
