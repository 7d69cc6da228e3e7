"""The settings of one store's server, as `khepri.start` takes them (Khepri's Ra server config)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from khepri.config import check_store_id, get_default_store_id
from khepri.errors import InvalidOptionError, WrongTypeError
from khepri.raft.settings import RaftSettings

from .server_clock import COUNTS_SUSPENSION

_logger = logging.getLogger("khepri.cluster")

LARGEST: Final = 1 << 53
"""Of any setting: up to here every whole number is a float too."""

HOLD_BACK_SECONDS: Final = 0.01
"""So much later, at most, entries go to a member that the majority can do without.

A single caller's entries go to it a dozen at a time then: a put that shares disk and processors
with such a message takes a quarter of a millisecond more.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaServerConfig:
    """Settings of one store; every one has a default.

    Attributes:
        cluster_name: the store id; the default store id if left out.
        friendly_name: how logs call the store.
        snapshot_bytes: a snapshot is taken once this many bytes of commands were applied since
            the last one, or half of the last snapshot's size if that is more.
        snapshot_entries: or this many entries.
        snapshot_interval_seconds: but no sooner than this after the last one.
        max_waiting_bytes: above this many bytes of commands waiting to be committed, new ones
            are refused with `OverloadedError`.
        heartbeat_interval_seconds: a leader speaks to each member at least this often.
        election_timeout_min_seconds: how long a follower waits for its leader, at least;
        election_timeout_max_seconds: and at most. The same on all members: the leader's lease
            rests on the shorter one.
        read_leases: whether a leader serves consistent reads without asking the others, as long
            as they have promised to elect nobody else. It trusts the clocks of the machines
            (docs/explanation/guarantees.md).
    """

    cluster_name: str = field(default_factory=get_default_store_id)
    friendly_name: str = ""
    snapshot_bytes: int = 20 * 1024 * 1024
    snapshot_entries: int = 65536
    snapshot_interval_seconds: float = 10.0
    max_waiting_bytes: int = 64 * 1024 * 1024
    heartbeat_interval_seconds: float = 0.1
    election_timeout_min_seconds: float = 0.6
    election_timeout_max_seconds: float = 1.2
    read_leases: bool = True

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InvalidOptionError, WrongTypeError: one is impossible; names it and its value.
        """
        check_store_id(self.cluster_name)
        for setting in fields(self):
            value: object = getattr(self, setting.name)
            if setting.name in {"cluster_name", "friendly_name"}:
                if not isinstance(value, str):
                    raise WrongTypeError(
                        f"{setting.name} is a text, not {value!r}",
                        option=setting.name,
                        value=value,
                    )
                continue
            if setting.name == "read_leases":
                if not isinstance(value, bool):
                    raise WrongTypeError(
                        f"read_leases is true or false, not {value!r}",
                        option=setting.name,
                        value=value,
                    )
                continue
            number = setting.type == "int"
            if isinstance(value, bool) or not isinstance(value, int if number else int | float):
                raise WrongTypeError(
                    f"{setting.name} is a {'whole ' if number else ''}number, not {value!r}",
                    option=setting.name,
                    value=value,
                )
            may_be_zero = setting.name == "snapshot_interval_seconds"
            if not (value >= 0 if may_be_zero else value > 0) or value > LARGEST:
                raise InvalidOptionError(
                    f"{setting.name} is {value!r:.100}, which is out of range",
                    option=setting.name,
                    value=value,
                )
        self.raft_settings()  # checks the order among the times

    def raft_settings(self) -> RaftSettings:
        """Give the settings of the Raft core."""
        return RaftSettings(
            heartbeat_interval_seconds=self.heartbeat_interval_seconds,
            election_timeout_min_seconds=self.election_timeout_min_seconds,
            election_timeout_max_seconds=self.election_timeout_max_seconds,
            hold_back_seconds=HOLD_BACK_SECONDS,
            max_uncommitted_bytes=self.max_waiting_bytes,
            read_leases=self.read_leases and COUNTS_SUSPENSION,
        )


def complete_config(store_id_or_config: object) -> RaServerConfig:
    """Make a config of what `start` was given: a store id, a mapping, a config, or nothing.

    ``initial_members`` in a mapping is dropped with a warning, as in Khepri: a cluster is formed
    with `join` only.

    Raises:
        InvalidOptionError, WrongTypeError: unknown keys or impossible values.
    """
    if store_id_or_config is None:
        return RaServerConfig(cluster_name=get_default_store_id())
    if isinstance(store_id_or_config, RaServerConfig):
        return store_id_or_config
    if not isinstance(store_id_or_config, Mapping):
        return RaServerConfig(cluster_name=check_store_id(store_id_or_config))
    given: dict[str, Any] = dict(store_id_or_config)  # pyright: ignore[reportUnknownArgumentType]
    if "initial_members" in given:
        del given["initial_members"]
        _logger.warning("initial_members is ignored: a cluster is formed with join")
    known = {setting.name for setting in fields(RaServerConfig)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise InvalidOptionError(
            f"unknown settings {', '.join(map(repr, unknown))}; known are "
            f"{', '.join(sorted(known))}",
            option=str(unknown[0]),
            value=given[unknown[0]],
        )
    given.setdefault("cluster_name", get_default_store_id())
    return RaServerConfig(**given)
