"""Stores and clusters for a host program's tests, with files in memory.

`memory_store` gives a store, `LocalCluster` a cluster of several nodes in this process, and
`SharedFileSystem` the files of either. The deterministic simulator is in
`khepri.testing.simulation`.
"""

from __future__ import annotations

from khepri.log.shared_file_system import SharedFileSystem

from .local_cluster import LocalCluster
from .memory_store import memory_store

__all__ = ["LocalCluster", "SharedFileSystem", "memory_store"]
