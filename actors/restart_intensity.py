"""How often a supervisor has restarted lately, and whether that is too often."""

from __future__ import annotations

from collections import deque


class RestartIntensity:
    """Counts restarts in a sliding period (OTP: intensity and period). Pure: no clock inside."""

    def __init__(self, intensity: int, period_seconds: float) -> None:
        """Allow `intensity` restarts within `period_seconds`."""
        assert intensity >= 0
        assert period_seconds > 0.0
        self.intensity = intensity
        self.period_seconds = period_seconds
        self._restart_times: deque[float] = deque()

    def allows_restart(self, now: float) -> bool:
        """Count a restart and tell whether it is still within the limit.

        Args:
            now: monotonic seconds.
        """
        times = self._restart_times
        times.append(now)
        while times[0] < now - self.period_seconds:
            times.popleft()
        return len(times) <= self.intensity

    def __str__(self) -> str:
        """Give, for a log line, how much of the limit is used."""
        return f"{len(self._restart_times)} of {self.intensity} in {self.period_seconds:g} s"
