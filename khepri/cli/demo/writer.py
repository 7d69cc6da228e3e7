"""The process that is killed: ``python -m khepri.cli.demo.writer DATA_DIR THREADS``.

Its threads put one tree node after the other and say so on standard output when a put has
returned, and not before::

    /written/3/17    17        <- put by thread 3
    3 17                       <- the line that acknowledges it

It never ends by itself. Started again, every thread goes on after what it finds in the store.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from khepri.cli.opening import open_data_dir
from khepri.machine.paths import Path
from khepri.machine.unix_paths import STAR

if TYPE_CHECKING:
    from khepri.store import Store

WRITTEN = Path("/written")


def place(thread: int, number: int) -> Path:
    """Say where a thread puts its n-th value, which is the number itself."""
    return WRITTEN / str(thread) / str(number)


def main(data_dir: str, threads: str) -> None:
    """Write until killed."""
    with open_data_dir(FilePath(data_dir)) as store:
        workers = [
            threading.Thread(target=_write, args=(store, thread)) for thread in range(int(threads))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def _write(store: Store, thread: int) -> None:
    number = store.count(WRITTEN / str(thread) / STAR)
    output = sys.stdout.fileno()
    while True:
        store.put(place(thread, number), number)
        # One write of a short line is never mixed with another thread's, nor torn.
        os.write(output, b"%d %d\n" % (thread, number))
        number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
