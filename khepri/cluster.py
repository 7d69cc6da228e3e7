"""Service and cluster management: start, stop, join, reset, members (Khepri's khepri_cluster).

Every function works on this process's default node; `khepri.management.ClusterManager` has the
same for any node. Timeouts are seconds and a budget for the whole call; left out: the default
timeout; None waits for ever. Any thread may call anything. `ClusterManager` also says which errors
beside its own every function may raise.
"""

from __future__ import annotations

from .management import ClusterManager

__all__ = [
    "force_single_member",
    "get_default_ra_system_or_data_dir",
    "get_default_store_id",
    "get_store_ids",
    "is_store_running",
    "join",
    "locally_known_members",
    "locally_known_nodes",
    "members",
    "nodes",
    "remove_member",
    "reset",
    "start",
    "status",
    "stop",
    "transfer_leadership",
    "wait_for_effective_machine_version",
    "wait_for_leader",
]

_default = ClusterManager()

get_default_ra_system_or_data_dir = _default.get_default_ra_system_or_data_dir
get_default_store_id = _default.get_default_store_id
start = _default.start
stop = _default.stop
join = _default.join
reset = _default.reset
members = _default.members
nodes = _default.nodes
locally_known_members = _default.locally_known_members
locally_known_nodes = _default.locally_known_nodes
wait_for_effective_machine_version = _default.wait_for_effective_machine_version
wait_for_leader = _default.wait_for_leader
get_store_ids = _default.get_store_ids
is_store_running = _default.is_store_running
status = _default.status
remove_member = _default.remove_member
transfer_leadership = _default.transfer_leadership
force_single_member = _default.force_single_member
