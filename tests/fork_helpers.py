"""For programs that fork: what a child does, checked in its parent."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

from khepri.errors import ForkedProcessError

if TYPE_CHECKING:
    from collections.abc import Callable


def in_child(function: Callable[[], object]) -> None:
    """Call a function in a forked child; its failure is the caller's."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - whatever it is, the parent is to know
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def refused(function: Callable[[], object]) -> None:
    """Call a function that must refuse to work in this process."""
    try:
        function()
    except ForkedProcessError:
        return
    raise AssertionError("not refused")
