"""What a host program's tests may use: a whole cluster in one thread, without disk or network.

Here is nothing; `khepri.testing.simulation` has the deterministic simulator.
"""

from __future__ import annotations

from khepri.log.shared_file_system import SharedFileSystem

from .local_cluster import LocalCluster
from .memory_store import memory_store

__all__ = ["LocalCluster", "SharedFileSystem", "memory_store"]
