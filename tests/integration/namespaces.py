"""Network namespaces for a test: one for each node, all plugged into one that switches.

The switch has two bridges; a node is moved from one to the other to cut it off. Nothing outside
of the namespaces made here is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection

PORT = 5700


def why_not() -> str | None:
    """Give why namespaces cannot be used here; None if they can."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    name = f"khepri-probe-{os.getpid()}"
    try:
        _ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        return f"ip netns is not permitted: {error.stderr.strip()}"
    try:
        _ip("-n", name, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", name, "link", "add", "one", "type", "veth", "peer", "name", "other")
    except subprocess.CalledProcessError as error:
        return f"no bridge or no veth can be made: {error.stderr.strip()}"
    finally:
        _ip("netns", "del", name)
    return None


class Namespaces:
    """The network of a test; use it as a context manager."""

    def __init__(self, count: int) -> None:
        self._switch = f"khepri-{os.getpid()}-switch"
        self._nodes = [f"khepri-{os.getpid()}-{number}" for number in range(count)]

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def node_names(self) -> list[str]:
        return [f"n{number}@{_address(number)}:{PORT}" for number in range(len(self._nodes))]

    def prefixes(self) -> list[list[str]]:
        """Give what to put before a command so that it runs in the namespace of a node."""
        return [["ip", "netns", "exec", name] for name in self._nodes]

    def partition(self, cut_off: Collection[int]) -> None:
        """Plug some nodes into the second bridge and all others into the first."""
        for number in range(len(self._nodes)):
            bridge = "bridge1" if number in cut_off else "bridge0"
            _ip("-n", self._switch, "link", "set", f"port{number}", "master", bridge)

    def heal(self) -> None:
        self.partition(())

    def remove(self) -> None:
        for name in (*self._nodes, self._switch):
            with contextlib.suppress(subprocess.CalledProcessError):  # it was not made
                _ip("netns", "del", name)

    def _make(self) -> None:
        _ip("netns", "add", self._switch)
        for bridge in ("bridge0", "bridge1"):
            _ip("-n", self._switch, "link", "add", bridge, "type", "bridge")
            _ip("-n", self._switch, "link", "set", bridge, "up")
        for number, name in enumerate(self._nodes):
            port = f"port{number}"
            _ip("netns", "add", name)
            _ip("-n", self._switch, "link", "add", port, "type", "veth", "peer", "name", "plug")
            _ip("-n", self._switch, "link", "set", "plug", "netns", name)
            _ip("-n", name, "address", "add", f"{_address(number)}/24", "dev", "plug")
            _ip("-n", name, "link", "set", "plug", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", self._switch, "link", "set", port, "up")
        self.heal()


def _address(number: int) -> str:
    return f"10.57.0.{number + 1}"


def _ip(*arguments: str) -> None:
    program = shutil.which("ip")
    assert program is not None, "why_not says so"
    subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
