"""khepri: an embeddable, replicated, durable tree store.

::

    import khepri

    khepri.start("data")
    khepri.put("/stock/wood/oak", 156)
    khepri.get("/stock/wood/oak")

What this module names is the public interface; everything else may change.
"""

from __future__ import annotations

from typing import Final

from . import adv, aio, cluster, config, errors, messages, node, ra_system, types
from .actors.ra_server_config import RaServerConfig
from .backup_functions import export, import_
from .cluster import get_store_ids, reset, start, stop
from .config import RaSystemName, StoreId
from .deriving_functions import (
    has_projection,
    projection,
    register_projection,
    subscribe,
    unregister_projections,
    unsubscribe,
)
from .ephemeral import EphemeralNode
from .errors import (
    KhepriError,
    KhepriTimeoutError,
    LockLostError,
    MismatchingNodeError,
    MisuseError,
    NodeNotFoundError,
)
from .following import Changes
from .info_function import info
from .locking import Lock
from .machine.comparisons import Eq, Ge, Gt, Le, Lt, Ne, Var
from .machine.conditions import (
    IfAll,
    IfAny,
    IfChildListLength,
    IfChildListVersion,
    IfDataMatches,
    IfHasData,
    IfHasPayload,
    IfHasSproc,
    IfNameLike,
    IfNameMatches,
    IfNodeExists,
    IfNot,
    IfPathMatches,
    IfPayloadVersion,
)
from .machine.data_patterns import ANY, DictWith, Guard
from .machine.names import PARENT, ROOT, THIS
from .machine.paths import Path, PathPattern, abspath, combine_with_conditions
from .machine.paths import resolve_path as realpath
from .machine.unix_paths import STAR, STAR_STAR
from .machine.values import ProcedureName
from .more_functions import copy, increment, move, touch
from .options import applied
from .procedure_functions import (
    register_trigger,
    run_sproc,
    transaction,
    triggers,
    unregister_trigger,
)
from .procedures import register_procedure, unregister_procedure
from .projections import Projection
from .raft.types import ServerId
from .reading_functions import (
    count,
    diff,
    exists,
    filter,  # noqa: A004 - the function's name in Khepri
    fold,
    follow,
    foreach,
    get,
    get_many,
    get_many_or,
    get_or,
    has_data,
    is_empty,
    is_sproc,
    map,  # noqa: A004
    view,
)
from .server_ref import server_ref
from .store import Store
from .store import open_store as open  # noqa: A004 - `khepri.open`, as files are opened
from .viewing import Difference, TreeView
from .writing_functions import (
    batch,
    clear_many_payloads,
    clear_payload,
    compare_and_swap,
    create,
    delete,
    delete_many,
    fence,
    put,
    put_many,
    update,
)

__version__: Final = "0.1.0"

__all__ = [
    "ANY",
    "PARENT",
    "ROOT",
    "STAR",
    "STAR_STAR",
    "THIS",
    "Changes",
    "DictWith",
    "Difference",
    "EphemeralNode",
    "Eq",
    "Ge",
    "Gt",
    "Guard",
    "IfAll",
    "IfAny",
    "IfChildListLength",
    "IfChildListVersion",
    "IfDataMatches",
    "IfHasData",
    "IfHasPayload",
    "IfHasSproc",
    "IfNameLike",
    "IfNameMatches",
    "IfNodeExists",
    "IfNot",
    "IfPathMatches",
    "IfPayloadVersion",
    "KhepriError",
    "KhepriTimeoutError",
    "Le",
    "Lock",
    "LockLostError",
    "Lt",
    "MismatchingNodeError",
    "MisuseError",
    "Ne",
    "NodeNotFoundError",
    "Path",
    "PathPattern",
    "ProcedureName",
    "Projection",
    "RaServerConfig",
    "RaSystemName",
    "ServerId",
    "Store",
    "StoreId",
    "TreeView",
    "Var",
    "abspath",
    "adv",
    "aio",
    "applied",
    "batch",
    "clear_many_payloads",
    "clear_payload",
    "cluster",
    "combine_with_conditions",
    "compare_and_swap",
    "config",
    "copy",
    "count",
    "create",
    "delete",
    "delete_many",
    "diff",
    "errors",
    "exists",
    "export",
    "fence",
    "filter",
    "fold",
    "follow",
    "foreach",
    "get",
    "get_many",
    "get_many_or",
    "get_or",
    "get_store_ids",
    "has_data",
    "has_projection",
    "import_",
    "increment",
    "info",
    "is_empty",
    "is_sproc",
    "map",
    "messages",
    "move",
    "node",
    "open",
    "projection",
    "put",
    "put_many",
    "ra_system",
    "realpath",
    "register_procedure",
    "register_projection",
    "register_trigger",
    "reset",
    "run_sproc",
    "server_ref",
    "start",
    "stop",
    "subscribe",
    "touch",
    "transaction",
    "triggers",
    "types",
    "unregister_procedure",
    "unregister_projections",
    "unregister_trigger",
    "unsubscribe",
    "update",
    "view",
]
