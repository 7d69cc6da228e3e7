"""The bytes of one file in memory, and of those that are not durable what they were before.

Names and directories are in `memory_file_system`, which also states the fault model.
"""

from __future__ import annotations

from typing import Protocol

SECTOR_BYTES = 512


class Randomness(Protocol):
    """The part of `random.Random` that a power loss needs."""

    def randrange(self, stop: int, /) -> int:
        """Give a number from 0 to below `stop`."""
        ...


class FileNode:
    """A file's bytes, and of the sectors that are not durable what they were before."""

    __slots__ = ("data", "past_sectors", "past_sizes", "written_off")

    def __init__(self) -> None:
        """Begin empty."""
        self.data = bytearray()
        self.past_sectors: dict[int, list[bytes]] = {}
        self.written_off: dict[int, list[bytes]] = {}
        """Sectors of a failed fdatasync: no later one writes them, until they are dirty again."""
        self.past_sizes: list[int] = []

    def write(self, data: bytes, offset: int) -> None:
        """Change the bytes and remember what the sectors were before."""
        end = offset + len(data)
        content = self.data
        past = self.past_sectors
        for sector in range(offset // SECTOR_BYTES, (end - 1) // SECTOR_BYTES + 1):
            start = sector * SECTOR_BYTES
            past.setdefault(sector, []).append(bytes(content[start : start + SECTOR_BYTES]))
        if end > len(content):
            self.past_sizes.append(len(content))
            content.extend(bytes(max(0, offset - len(content))))
        content[offset:end] = data

    def sync(self) -> None:
        """Make everything durable that is dirty."""
        for sector in self.past_sectors:
            self.written_off.pop(sector, None)
        self.past_sectors.clear()
        self.past_sizes.clear()

    def sync_failed(self) -> None:
        """Call the dirty sectors clean though they never reached the disk."""
        for sector, versions in self.past_sectors.items():
            self.written_off.setdefault(sector, []).extend(versions)
        self.past_sectors.clear()

    def lose_power(self, random: Randomness) -> None:
        """Give each sector that is not durable any of the values it had since it was."""
        self.sync_failed()
        for sector in sorted(self.written_off):
            versions = self.written_off[sector]
            chosen = random.randrange(len(versions) + 1)
            if chosen < len(versions):
                start = sector * SECTOR_BYTES
                old = versions[chosen].ljust(SECTOR_BYTES, b"\0")
                end = min(start + SECTOR_BYTES, len(self.data))
                self.data[start:end] = old[: end - start]
        self.written_off.clear()
        if self.past_sizes:
            sizes = [*self.past_sizes, len(self.data)]
            del self.data[sizes[random.randrange(len(sizes))] :]
            self.past_sizes.clear()
