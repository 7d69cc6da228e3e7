"""The records of a projection: written where nobody reads, then published as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, cast

import immutables

from khepri.machine.paths import Path
from khepri.machine.properties import known_path
from khepri.machine.values import decode_value

if TYPE_CHECKING:
    from khepri.machine.tree import Names


class Draft(MutableMapping[Any, Any]):
    """Records that change. One thread.

    What was given by `finish` never changes: it shares with later ones what they share.
    """

    __slots__ = ("_mutation", "_records")

    def __init__(self) -> None:
        """Begin without records."""
        self._records: immutables.Map[Any, Any] = immutables.Map()
        self._mutation: immutables.MapMutation[Any, Any] | None = None

    def finish(self) -> immutables.Map[Any, Any]:
        """Give the records as they are now."""
        if self._mutation is not None:
            self._records = self._mutation.finish()
            self._mutation = None
        return self._records

    def go_back(self, records: immutables.Map[Any, Any]) -> None:
        """Be as `finish` has given it."""
        self._records, self._mutation = records, None

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401 - the function decides
        """Give the value of a key."""
        return self._now[key]

    def __setitem__(self, key: object, value: object) -> None:
        """Put a record in, in place of the one with that key."""
        if self._mutation is None:
            self._mutation = self._records.mutate()
        self._mutation[key] = value

    def __delitem__(self, key: object) -> None:
        """Take a record out."""
        if self._mutation is None:
            self._mutation = self._records.mutate()
        del self._mutation[key]

    def __contains__(self, key: object) -> bool:
        """Tell whether there is a record of a key."""
        return key in self._now

    def __iter__(self) -> Iterator[Any]:
        """Give the keys there are now, in no particular order; change what you like meanwhile."""
        return iter(self.finish())

    def __len__(self) -> int:
        """Give the number of records."""
        return len(self._now)

    @property
    def _now(self) -> immutables.Map[Any, Any] | immutables.MapMutation[Any, Any]:
        return self._records if self._mutation is None else self._mutation


class CopiedRecords(Mapping[Path, Any]):
    """Data by path, decoded for each reader: what it does with its copy changes nothing.

    Immutable; any thread. A path may be given in its unix form, too.
    """

    __slots__ = ("_payloads",)

    def __init__(self, payloads: immutables.Map[Names, bytes]) -> None:
        """Take the encoded data."""
        self._payloads = payloads

    def __getitem__(self, path: object) -> Any:  # noqa: ANN401 - what was put
        """Give the data at a path."""
        names = Path(path) if isinstance(path, str) else cast("Names", path)
        return decode_value(self._payloads[names])

    def __contains__(self, path: object) -> bool:
        """Tell whether there are data at a path."""
        return (Path(path) if isinstance(path, str) else path) in self._payloads

    def __iter__(self) -> Iterator[Path]:
        """Give the paths, in no particular order."""
        return map(known_path, self._payloads)

    def __len__(self) -> int:
        """Give the number of paths."""
        return len(self._payloads)
