"""Restart, as a multiple of the least that anybody could do with the same snapshot file.

The yardstick reads the file into memory, goes from frame to frame, gives each block to msgpack and
puts what comes out into a list: no checksum, no tree, but everything is in memory at the end, as
it must be after a restart. A second one throws everything away at once, so that it always works in
the same few warm pages; it is shown beside, as the floor under all of them.
All are done by fresh processes with the file in the page cache; starting the interpreter and
importing are not counted.
"""

from __future__ import annotations

import struct
import tempfile
import time
from pathlib import Path

import msgpack

from . import large_tree
from .child import in_child
from .harness import Plan, Sample, Samples, in_rounds
from .tables import Table, ratio, verdict

TARGET = 3.0
# As much of ``khepri/log/framing.py`` and ``khepri/machine/snapshot_codec.py`` as a reader without
# checks needs.
_FRAME = struct.Struct("<3sBI")
_FRAME_HEADER_BYTES = 32
_BLOCK = 4
_CHECKSUM_BYTES = 4


def measure(plan: Plan) -> Table:
    """Measure a large and a very large tree."""
    sizes = {
        f"{tree_nodes:,}": tree_nodes
        for tree_nodes in ((2_000, 20_000) if plan.quick else (100_000, 1_000_000))
    }
    with tempfile.TemporaryDirectory(dir=plan.directory, prefix="restart-") as temporary:
        for subject, tree_nodes in sizes.items():
            plan.say(f"preparing {subject} tree nodes")
            in_child(prepare, directory=f"{temporary}/{subject}", tree_nodes=tree_nodes)

        def sample(subject: str) -> Sample:
            directory, tree_nodes = f"{temporary}/{subject}", sizes[subject]
            return {
                "has_target": tree_nodes == max(sizes.values()),
                "keeping": in_child(unpack, directory=directory, keeping=True)["seconds"],
                "discarding": in_child(unpack, directory=directory, keeping=False)["seconds"],
                **in_child(restart, directory=directory, tree_nodes=tree_nodes),
            }

        collected = in_rounds(plan, sizes, sample)
    return Table(
        title="Restart from a snapshot, tree nodes with a payload of 100 bytes",
        columns=(
            "tree nodes",
            "restart, s",
            "read and unpack, s",
            "restart / loop",
            "lowest to highest",
            "target",
            "the same, nothing kept, s",
            "restart / that",
        ),
        rows=tuple(_row(subject, samples) for subject, samples in collected.items()),
        notes=("The plain loop checks nothing and builds nothing.",),
    )


def prepare(*, directory: str, tree_nodes: int) -> Sample:
    """Be the process that makes the store and its snapshot."""
    import khepri  # noqa: PLC0415 - in the measuring process only

    khepri.start(directory, large_tree.config("bench"))
    large_tree.fill(khepri.Store("bench"), tree_nodes)
    large_tree.take_snapshot("bench")
    khepri.stop("bench")
    return {}


def restart(*, directory: str, tree_nodes: int) -> Sample:
    """Be the process that starts the store: until the first read has answered."""
    import khepri  # noqa: PLC0415 - in the measuring process only

    started = time.perf_counter()
    with khepri.open(directory, "bench") as store:
        last = tree_nodes - 1
        store.get(["tree", str(last // large_tree.CHILDREN), str(last % large_tree.CHILDREN)])
        seconds = time.perf_counter() - started
        assert store.count("/tree/*/*") == tree_nodes
    return {"restart": seconds}


def unpack(*, directory: str, keeping: bool) -> Sample:
    """Be the process that runs the plain loop."""
    (path,) = Path(directory).glob("stores/*/snapshots/*.snapshot")
    started = time.perf_counter()
    kept: list[object] = []
    data = memoryview(path.read_bytes())
    offset = 0
    while offset < len(data):
        _magic, kind, length = _FRAME.unpack_from(data, offset)
        offset += _FRAME_HEADER_BYTES
        if kind == _BLOCK:
            value = msgpack.unpackb(data[offset + _CHECKSUM_BYTES : offset + length])
            if keeping:
                kept.append(value)
        offset += length
    return {"seconds": time.perf_counter() - started}


def _row(subject: str, samples: Samples) -> tuple[str, ...]:
    multiple = samples.median_ratio("restart", "keeping")
    return (
        subject,
        f"{samples.median('restart'):.2f}",
        f"{samples.median('keeping'):.2f}",
        ratio(multiple),
        samples.spread("restart", "keeping"),
        verdict(multiple, TARGET, at_least=False) if samples.worst("has_target") else "",
        f"{samples.median('discarding'):.2f}",
        ratio(samples.median_ratio("restart", "discarding")),
    )
