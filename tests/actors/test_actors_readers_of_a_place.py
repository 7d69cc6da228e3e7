"""Who waits for a place in the log, and gives up."""

from __future__ import annotations

from khepri.actors.future import KhepriFuture
from khepri.actors.server_messages import WaitUntilApplied
from khepri.actors.server_waiters import ServerWaiters


def test_a_reader_without_a_deadline_that_was_cancelled_is_forgotten() -> None:
    waiters = ServerWaiters()
    gone: KhepriFuture[object] = KhepriFuture()
    patient: KhepriFuture[object] = KhepriFuture()
    for future in (gone, patient):
        waiters.wait_for_place(WaitUntilApplied(1_000, 1, None), future)
    gone.fail(RuntimeError("the task was cancelled"))
    waiters.forget_abandoned(1e9)
    assert list(waiters.futures()) == [patient]
