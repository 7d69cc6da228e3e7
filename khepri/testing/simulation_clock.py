"""Clocks of one node: a monotonic one that runs too fast or too slow, and a wall clock that lies.

Everything in the simulation happens at a virtual time, in seconds, that only the simulation
itself knows. A node sees its own clocks.
"""

from __future__ import annotations


class DriftingClock:
    """The clocks of one node.

    Attributes:
        rate: seconds of the node's monotonic clock per virtual second.
        wall_offset_seconds: by how much its wall clock is wrong.
    """

    def __init__(self, now: float, *, local: float) -> None:
        """Begin at the right speed.

        Args:
            now: the virtual time.
            local: what the monotonic clock shows at that moment.
        """
        self.rate = 1.0
        self.wall_offset_seconds = 0.0
        self._virtual = now
        self._local = local

    def local(self, now: float) -> float:
        """Give what the monotonic clock shows at a virtual time."""
        return self._local + (now - self._virtual) * self.rate

    def virtual(self, local: float) -> float:
        """Give the virtual time at which the monotonic clock shows `local`, or just after."""
        return self._virtual + (local - self._local) / self.rate + 1e-9

    def set_rate(self, now: float, rate: float) -> None:
        """Run faster or slower from now on; the clock does not jump."""
        self._local, self._virtual, self.rate = self.local(now), now, rate

    def wall_milliseconds(self, now: float) -> int:
        """Give what the wall clock shows."""
        return int((1_800_000_000 + now + self.wall_offset_seconds) * 1000)
