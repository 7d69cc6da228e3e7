"""The supervisor of one store: rest_for_one, since each builds on the one before.

::

    StoreSupervisor       rest_for_one
    ├─ MembershipCache    outlives a crash of the server
    ├─ RaServer
    └─ SnapshotWorker
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .child_spec import ChildSpec, Siblings, Strategy, SupervisorFlags
from .label import ActorLabel
from .membership_cache import MembershipCache
from .ra_server import RaServer
from .snapshot_worker import SnapshotWorker
from .supervisor import Supervisor

if TYPE_CHECKING:
    from .reference import ActorReference
    from .server_setup import ServerSetup

INTENSITY = 2
"""As in Ra: the third crash within the period takes the store down."""

PERIOD_SECONDS = 5.0


def start_store_supervisor(setup: ServerSetup) -> ActorReference:
    """Start the actors of a store; the supervisor's reference is ready when they are."""

    def label(role: str) -> ActorLabel:
        return ActorLabel(role, setup.store_id, setup.server_id.node, setup.config.friendly_name)

    def start_cache(siblings: Siblings) -> ActorReference:
        del siblings
        setup.membership_cache = MembershipCache.start(label("membership-cache"), setup.access)
        return setup.membership_cache

    def start_server(siblings: Siblings) -> ActorReference:
        del siblings
        return RaServer.start(label("ra-server"), setup)

    def start_worker(siblings: Siblings) -> ActorReference:
        return SnapshotWorker.start(label("snapshot-worker"), setup, siblings["ra_server"])

    supervisor = Supervisor.start(
        label("store-supervisor"),
        SupervisorFlags(Strategy.REST_FOR_ONE, INTENSITY, PERIOD_SECONDS),
        (
            ChildSpec("membership_cache", start_cache),
            ChildSpec("ra_server", start_server, shutdown_seconds=30.0),
            ChildSpec("snapshot_worker", start_worker, shutdown_seconds=10.0),
        ),
    )
    supervisor.down.add_done_callback(lambda down: setup.on_down(down.get()))
    return supervisor
