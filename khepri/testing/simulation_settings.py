"""How large and how bad one simulated run is.

`SimulationSettings.draw` makes settings from a seed, so that runs differ in more than their luck.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from khepri.raft.lease import CLOCK_RATE_ERROR
from khepri.raft.settings import RaftSettings


def _small() -> RaftSettings:
    """Settings that make every limit show within seconds."""
    return RaftSettings(
        max_append_entries=8,
        max_append_bytes=2048,
        max_inflight_messages=4,
        max_inflight_bytes=8192,
        max_uncommitted_bytes=1 << 20,
        max_apply_entries=16,
        promotion_lag_entries=8,
        leadership_transfer_timeout_seconds=1.0,
        snapshot_chunk_bytes=512,
        snapshot_retransmit_seconds=0.3,
        snapshot_timeout_seconds=3.0,
        snapshot_backoff_min_seconds=0.2,
        snapshot_backoff_max_seconds=1.0,
        trailing_entries=12,
        trailing_bytes=1 << 16,
        catch_up_bytes=1 << 11,
    )


@dataclass(frozen=True)
class SimulationSettings:
    """The numbers of one run.

    Attributes:
        members: how many initial voters.
        spare_nodes: how many nodes there are beside them, to be added.
        clients_per_node: how many clients each node has.
        keys: how many keys they use.
        think_seconds: how long a client pauses at most between two operations.
        patience_seconds: how long a client waits for an answer.
        fault_seconds: how long faults are injected.
        faults_per_second: how many, on the average.
        quiet_seconds: the bound of virtual time for everything to be well again afterwards.
        log_file_bytes: the size of a write-ahead-log file.
        snapshot_entries: applied entries after which a snapshot is due.
        snapshot_interval_seconds: the shortest time between two.
        max_waiting_bytes: above this, commands are refused.
        busy_ratio: how often a turn takes long enough for a batch to gather.
        duplication: probability that a message comes twice, as long as there are faults.
        loss: probability that a message is lost, as long as there are faults.
        readers: so many clients of each node only read: writes that wait do not stop them.
        triggers: how many triggers clients register, one in place of the other; 0 for none.
        has_transactions: whether clients run transactions.
        longest_ttl_milliseconds: how long at most what is put with a time to live has it; 0 if
            nothing has one.
        has_listeners: whether members list what changes, now and then, as for those who are told.
        slowest_clock: seconds of a monotonic clock per second, at least;
        fastest_clock: and at most. Leases are for clocks that are wrong by a fifth at most.
        raft: the core's settings.
    """

    members: int = 3
    spare_nodes: int = 1
    clients_per_node: int = 2
    keys: int = 5
    think_seconds: float = 0.05
    patience_seconds: float = 1.5
    fault_seconds: float = 15.0
    faults_per_second: float = 1.5
    quiet_seconds: float = 40.0
    log_file_bytes: int = 8192
    snapshot_entries: int = 40
    snapshot_interval_seconds: float = 0.5
    max_waiting_bytes: int = 4096
    busy_ratio: float = 0.05
    duplication: float = 0.0
    loss: float = 0.0
    readers: int = 0
    triggers: int = 0
    has_transactions: bool = False
    longest_ttl_milliseconds: int = 0
    has_listeners: bool = False
    slowest_clock: float = 1 - CLOCK_RATE_ERROR
    fastest_clock: float = 1 + CLOCK_RATE_ERROR
    raft: RaftSettings = field(default_factory=_small)

    @classmethod
    def under_lease_attack(cls, seed: int) -> SimulationSettings:
        """Give settings for `plan_lease_attacks`: clients that read all the time, everywhere."""
        one = random.Random(f"{seed}/lease settings")
        return cls(
            members=one.choice((1, 3, 3, 3, 5)),
            spare_nodes=2,
            clients_per_node=2,
            readers=1,
            keys=2,
            think_seconds=0.03,
            patience_seconds=0.4,
            snapshot_entries=120,
            busy_ratio=one.choice((0.0, 0.05, 0.2)),
        )

    @classmethod
    def draw(cls, seed: int, *, fault_seconds: float = 15.0) -> SimulationSettings:
        """Give the settings that belong to a seed."""
        one = random.Random(f"{seed}/settings")
        more = random.Random(f"{seed}/workload")
        hold_back_seconds = random.Random(f"{seed}/reserve").choice((0.0, 0.005, 0.05))
        trusts_clocks = random.Random(f"{seed}/clocks").random() < 0.8  # noqa: PLR2004 - most runs
        return cls(
            members=one.choice((1, 2, 3, 3, 3, 3, 4, 5, 5)),
            spare_nodes=one.choice((0, 1, 1, 2)),
            clients_per_node=one.choice((1, 2, 3)),
            keys=one.choice((2, 5, 9)),
            think_seconds=one.choice((0.01, 0.05, 0.2)),
            patience_seconds=one.choice((0.5, 1.5, 4.0)),
            fault_seconds=fault_seconds,
            faults_per_second=one.choice((0.5, 1.5, 1.5, 3.0)),
            log_file_bytes=one.choice((8192, 16384)),
            snapshot_entries=one.choice((15, 40, 120)),
            snapshot_interval_seconds=one.choice((0.1, 0.5, 2.0)),
            busy_ratio=one.choice((0.0, 0.05, 0.2)),
            duplication=one.choice((0.0, 0.0, 0.05, 0.4)),
            loss=one.choice((0.0, 0.0, 0.02, 0.1)),
            readers=one.choice((0, 1, 1)),
            triggers=more.choice((0, 0, 0, 2, 5)),
            has_transactions=more.choice((False, False, True)),
            longest_ttl_milliseconds=more.choice((0, 0, 0, 0, 300, 3000)),
            has_listeners=more.choice((False, False, True)),
            slowest_clock=1 - CLOCK_RATE_ERROR if trusts_clocks else 0.5,
            fastest_clock=1 + CLOCK_RATE_ERROR if trusts_clocks else 2.0,
            raft=replace(_small(), read_leases=trusts_clocks, hold_back_seconds=hold_back_seconds),
        )

    def with_all_kinds(self) -> SimulationSettings:
        """Give the same with triggers, transactions, times to live and listeners."""
        return replace(
            self,
            triggers=3,
            has_transactions=True,
            longest_ttl_milliseconds=1000,
            has_listeners=True,
        )

    def with_single_writes(self) -> SimulationSettings:
        """Give the same without triggers, transactions, times to live and listeners."""
        return replace(
            self,
            triggers=0,
            has_transactions=False,
            longest_ttl_milliseconds=0,
            has_listeners=False,
        )
