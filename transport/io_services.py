"""What the parts of one ZeroMQ transport share, made once by `zmq_transport`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .counters import Counters
    from .interface import NodeIncarnation
    from .reactor import Reactor
    from .settings import TransportSettings
    from .sockets import SocketFactory
    from .zap import Admissions


@dataclass(frozen=True, slots=True)
class IoServices:
    """Loop, sockets, counters and settings of one transport, who it is, and who may come in."""

    identity: NodeIncarnation
    settings: TransportSettings
    counters: Counters
    reactor: Reactor
    sockets: SocketFactory
    admissions: Admissions
