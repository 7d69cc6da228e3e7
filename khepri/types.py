"""The types of what khepri's functions take and give, for annotations.

::

    from khepri import types

    def stock(store: khepri.Store, wood: types.PathLike) -> types.KhepriFuture[None]:
        return store.put(wood, 156, async_=True)

Most are only named here: what makes a `Batch` is `khepri.Store.batch`, a `KhepriFuture` comes of
``async_=True``, an `AppliedAt` of `khepri.applied`. The options are typed dicts; a function that
hands options through takes ``**options: Unpack[types.WriteOptions]``.
"""

from __future__ import annotations

from .actors.future import KhepriFuture
from .actors.node import Node
from .actors.procedures import TriggerEvent
from .actors.server_status import PeerStatus, ServerStatus
from .advanced import AdvancedStore
from .aio import AsyncAdvancedStore, AsyncBatch
from .batch import Batch
from .calls import Timeout
from .exported_node import ExportedNode
from .exporting import Exported, ExportOptions, ExportWriter
from .import_sources import ExportReader
from .importing import Imported
from .machine.commands import KeepWhileOption
from .machine.components import Component, Condition
from .machine.paths import PathLike
from .machine.properties import NodeProperties
from .management import ClusterManager
from .messages import Message
from .options import (
    AdvancedManyOptions,
    AdvancedManyWriteOptions,
    AdvancedPutManyOptions,
    AdvancedPutOptions,
    AdvancedReadOptions,
    AdvancedWriteOptions,
    AppliedAt,
    CountOptions,
    Favor,
    FoldOptions,
    ManyOptions,
    ManyWriteOptions,
    Priority,
    PutManyOptions,
    PutOptions,
    ReadOptions,
    TimeoutOption,
    TransactionOptions,
    WriteOptions,
)
from .projection_table import ProjectionTable
from .server_ref import ServerRef
from .subscribing import Subscription
from .transaction import Transaction
from .triggering import Trigger

__all__ = [
    "AdvancedManyOptions",
    "AdvancedManyWriteOptions",
    "AdvancedPutManyOptions",
    "AdvancedPutOptions",
    "AdvancedReadOptions",
    "AdvancedStore",
    "AdvancedWriteOptions",
    "AppliedAt",
    "AsyncAdvancedStore",
    "AsyncBatch",
    "Batch",
    "ClusterManager",
    "Component",
    "Condition",
    "CountOptions",
    "ExportOptions",
    "ExportReader",
    "ExportWriter",
    "Exported",
    "ExportedNode",
    "Favor",
    "FoldOptions",
    "Imported",
    "KeepWhileOption",
    "KhepriFuture",
    "ManyOptions",
    "ManyWriteOptions",
    "Message",
    "Node",
    "NodeProperties",
    "PathLike",
    "PeerStatus",
    "Priority",
    "ProjectionTable",
    "PutManyOptions",
    "PutOptions",
    "ReadOptions",
    "ServerRef",
    "ServerStatus",
    "Subscription",
    "Timeout",
    "TimeoutOption",
    "Transaction",
    "TransactionOptions",
    "Trigger",
    "TriggerEvent",
    "WriteOptions",
]
