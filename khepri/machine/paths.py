"""Paths: where a tree node is, and patterns: which tree nodes are meant.

A `Path` is a tuple of names from the root down. A `PathPattern` is a tuple in which specials
and conditions may stand as well. Wherever a path is asked for, each of these will do:

- unix text, ``"/queues/q*"`` (see ``unix_paths.py``);
- a sequence of components, ``["queues", name, IfHasData()]``, in which every `str` is one name,
  taken as it is: ``"*"``, ``".."`` and ``"a/b"`` are names there, so data never turn into syntax;
- a `Path` or `PathPattern`.

`parse_path` only reads, `resolve_path` also resolves; the store's functions use the latter.
How a pattern is matched with a tree is in ``patterns.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias, cast, overload

from khepri.errors import InvalidPathError, ManyNodesDeniedError

from .components import Component, Condition
from .condition_rules import named_target, normalise
from .conditions import IfAll, IfNameLike, IfNameMatches, IfPathMatches
from .known_texts import KnownTexts
from .names import MAX_PATH_COMPONENTS, PARENT, ROOT, THIS, Special, problem_with_name
from .shown import shown
from .unix_paths import parse_unix, too_many_components, unix_form

_KEPT_PATHS: Final = 8_192
_NOT_PLAIN: Final = ("", ".")  # what a name that may be something else begins with
PLAIN_PATH_LENGTH: Final = 256
"""Texts up to this are read the short way, and kept: a few megabytes at most. It is less than a
name may have, and has less components than a path may have."""


class Path(tuple[str, ...]):
    """The place of one tree node: the names from the root down; ``Path()`` is the root.

    Immutable, hashable, comparable, and equal to the plain tuple of its names. Paths sort as a
    walk of the tree visits them: parents before children, siblings by name.
    """

    __slots__ = ()

    def __new__(cls, path: PathLike = ()) -> Path:  # noqa: PYI034 - subclasses are not meant
        """Make a path from its unix form or from its names.

        Raises:
            InvalidPathError: it is not a path, or it is a pattern.
        """
        resolved = resolve_path(path)
        if isinstance(resolved, PathPattern):
            raise InvalidPathError(
                f"{shown(path)} is a pattern, not the path of one tree node",
                path=path,
                component=next(part for part in resolved if not isinstance(part, str)),
            )
        return resolved

    @classmethod
    def of_valid(cls, names: Iterable[str]) -> Path:
        """Make a path of names that are known to be valid, as those of a walk."""
        return super().__new__(cls, names)

    @property
    def name(self) -> str:
        """The last name; empty for the root, which has none."""
        return self[-1] if self else ""

    @property
    def parent(self) -> Path:
        """The path one level up; the root's parent is the root."""
        return Path.of_valid(self[:-1])

    @overload
    def __truediv__(self, component: str) -> Path: ...
    @overload
    def __truediv__(self, component: Special | Condition) -> PathPattern: ...
    def __truediv__(self, component: Component) -> Path | PathPattern:
        """Go one level down: to the child of a name, or on to a pattern.

        The name is taken as it is: it is not parsed, a slash in it does not make two levels.
        """
        return _checked((*self, component), self)

    def __str__(self) -> str:
        """Give the unix form, from which ``Path(...)`` makes an equal path."""
        return unix_form(self)

    def __repr__(self) -> str:
        """Show the path as it is written in a program."""
        return f"Path({str(self)!r})"


class PathPattern(tuple[Component, ...]):
    """A pattern of paths: names, specials and conditions, one for each step of a walk.

    Immutable, hashable, and equal to the plain tuple of its components.
    """

    __slots__ = ()

    def __new__(cls, components: Iterable[Component] = ()) -> PathPattern:  # noqa: PYI034 - subclasses are not meant
        """Make a pattern from its components.

        Raises:
            InvalidPathError: one of them is not a component, or they are a text: its letters
                would be names (`realpath` reads the unix form of a pattern).
        """
        if isinstance(components, str):
            raise InvalidPathError(
                f"a PathPattern is made of components, not of the text {shown(components)}; "
                "realpath reads that",
                path=components,
            )
        parts = tuple(components)
        return cls.of_valid(_checked(parts, parts))

    @classmethod
    def of_valid(cls, components: Iterable[Component]) -> PathPattern:
        """Make a pattern of components that are known to be valid."""
        return super().__new__(cls, components)

    def __truediv__(self, component: Component) -> PathPattern:
        """Add a step."""
        return PathPattern((*self, component))

    def __str__(self) -> str:
        """Give the unix form if the pattern has one, otherwise its representation."""
        try:
            return unix_form(self)
        except InvalidPathError:
            return repr(self)

    def __repr__(self) -> str:
        """Show the pattern as it is written in a program."""
        return f"PathPattern({tuple(self)!r})"


PathLike: TypeAlias = str | Path | PathPattern | Sequence[Component]
"""What is accepted where a path or pattern is asked for."""


def _checked(components: tuple[object, ...], path: object) -> Path | PathPattern:
    """Check components and make a path of them if all are names, otherwise a pattern."""
    if len(components) > MAX_PATH_COMPONENTS:
        raise too_many_components(path)
    names: list[str] = []
    checked: list[Component] = []
    for component in components:
        if isinstance(component, str):
            problem = problem_with_name(component)
            if problem is not None:
                raise _invalid(path, component, f"is not a name: {problem}")
            # A subclass of text may bring its own equality; the tree holds plain text.
            names.append(str.__str__(component))
            checked.append(names[-1])
        elif isinstance(component, Special | Condition):
            checked.append(component)
        else:
            raise _invalid(path, component, "is neither a name nor a condition")
    if len(names) == len(checked):
        return Path.of_valid(names)
    return PathPattern.of_valid(checked)


def _invalid(path: object, component: object, problem: str) -> InvalidPathError:
    return InvalidPathError(
        f"the path {shown(path)} has the component {shown(component)} that {problem}",
        path=path,
        component=component,
    )


def parse_path(path: PathLike) -> Path | PathPattern:
    """Read a path or pattern in any of its forms, without resolving specials.

    A leading ROOT, and everything before a later one, is dropped.

    Args:
        path: unix text, a sequence of components, a `Path` or a `PathPattern`.

    Returns:
        A `Path` if all components are names, otherwise a `PathPattern`.

    Raises:
        InvalidPathError: it is neither of these, or a component is none; the error names it.
    """
    if isinstance(path, Path | PathPattern):
        return path
    if isinstance(path, str):
        components: tuple[object, ...] = tuple(parse_unix(path))
    else:
        components = _components_of(path)
    checked = _checked(components, path)
    if isinstance(checked, PathPattern) and ROOT in checked:
        after_root = len(checked) - checked[::-1].index(ROOT)
        return _checked(checked[after_root:], path)
    return checked


def _components_of(path: object) -> tuple[object, ...]:
    # Bytes are a sequence too, of numbers, and no path.
    if not issubclass(type(path), Sequence) or type(path) in (bytes, bytearray, memoryview):
        raise InvalidPathError(
            f"a path is text or a sequence of components, not {shown(path)}",
            path=path,
            component=None,
        )
    return tuple(cast("Sequence[object]", path))


def realpath(path: Path | PathPattern) -> Path | PathPattern:
    """Resolve specials as far as the components alone tell, and normalise conditions.

    THIS disappears. PARENT takes the name before it away and disappears at the root; after a
    condition it stays, because only a walk knows whose parent is meant. A condition that names
    ROOT discards what is before it, as ROOT does.
    """
    if isinstance(path, Path):
        return path
    resolved: list[Component] = []
    for component in map(normalise, path):
        if component is ROOT:
            resolved.clear()
        elif component is PARENT:
            if resolved and isinstance(resolved[-1], str):
                resolved.pop()
            elif resolved:
                resolved.append(PARENT)
        elif component is not THIS:
            if named_target(component) is ROOT:
                resolved.clear()
            resolved.append(component)
    if all(isinstance(component, str) for component in resolved):
        return Path.of_valid(resolved)  # type: ignore[arg-type]  # tested above
    return PathPattern.of_valid(resolved)


_known: Final[KnownTexts[Path | PathPattern]] = KnownTexts(_KEPT_PATHS)
_find_known: Final = _known.values.get


def resolve_path(path: PathLike) -> Path | PathPattern:
    """Read and resolve a path or pattern, relative ones from the root; what store calls use.

    Unix text of ordinary length that comes again and again is kept: it costs about 0.1
    microseconds then. Any thread may call this.

    Raises:
        InvalidPathError: it is no path or pattern; the error names what is wrong.
    """
    if type(path) is not str:
        return realpath(parse_path(path))
    known = _find_known(path)
    if known is not None:
        return known
    if len(path) > PLAIN_PATH_LENGTH:
        return realpath(parse_path(path))
    resolved = _resolve_text(path)
    if _known.comes_again(path):
        _known.keep(path, resolved)
    return resolved


def _resolve_text(path: str) -> Path | PathPattern:
    # Without wildcards, escapes, and what may be ``.`` or ``..``.
    is_plain = "*" not in path and "%" not in path and "/." not in path
    if is_plain and path[:1] == "/" and path.isascii():
        # Short names, as most paths have: a fifth of the cost of the long way.
        names = path[1:].split("/")
        if not names[-1]:
            names.pop()
        return Path.of_valid(names)
    return realpath(parse_path(path))


def is_plain_name(text: str) -> bool:
    """Tell whether a component of a text no longer than `PLAIN_PATH_LENGTH` is just a name."""
    return "*" not in text and "%" not in text and text[:1] not in _NOT_PLAIN and text.isascii()


def abspath(path: PathLike, base: Path) -> Path | PathPattern:
    """Resolve a path from a base if it begins with THIS or PARENT, otherwise from the root.

    Keep-while paths are resolved so from the path of the tree node being written.

    Raises:
        InvalidPathError: it is no path or pattern; the error names what is wrong.
    """
    parsed = parse_path(path)
    relative = bool(parsed) and parsed[0] in (THIS, PARENT)
    return realpath(PathPattern((*base, *parsed)) if relative else parsed)


def combine_with_conditions(path: PathLike, *conditions: Component) -> Path | PathPattern:
    """Ask more of what a pattern names: conditions join its last component.

    Unlike Khepri's function this one works for the root: the conditions are asked of it.

    Args:
        path: a path or pattern; it is resolved.
        conditions: what to ask; without any, the path is given back.

    Raises:
        InvalidPathError: it is no path or pattern; the error names what is wrong.
    """
    path = resolve_path(path)
    if not conditions:
        return path
    if not path:
        combined: tuple[Component, ...] = (IfAll(ROOT, *conditions),)
    elif path[-1] is PARENT:
        combined = (*path, IfAll(THIS, *conditions))
    else:
        combined = (*path[:-1], IfAll(path[-1], *conditions))
    return realpath(PathPattern.of_valid(combined))


def targets_specific_node(path: Path | PathPattern) -> Path | None:
    """Give the path of the one tree node that a resolved pattern names, None if it may be more.

    Conditions may be asked of the named nodes; they are dropped from the answer.
    """
    if isinstance(path, Path):
        return path
    names: list[str] = []
    for component in path:
        target = named_target(component)
        if isinstance(target, str):
            names.append(target)
        elif target is PARENT:
            del names[-1:]
        elif target is ROOT:
            names.clear()
        elif target is None:
            return None
    return Path.of_valid(names)


def ensure_specific(path: Path | PathPattern) -> Path:
    """Give the path of the one tree node that a resolved pattern names.

    Checked here, from the pattern alone and before anything is sent; Khepri checks when the walk
    arrives, and so answers "not found" for a pattern below a missing tree node.

    Raises:
        ManyNodesDeniedError: the pattern may match several tree nodes.
    """
    names = targets_specific_node(path)
    if names is None:
        raise ManyNodesDeniedError(
            f"{_shown_pattern(path)} may match many tree nodes where one is required; "
            f"{_advice(path)}",
            path=path,
        )
    return names


def _advice(path: Path | PathPattern) -> str:
    """Say what to write in place of a pattern that names no one tree node."""
    before: Component = ROOT
    for component in path:
        if named_target(component) is None:
            if isinstance(before, str) and not isinstance(
                component, IfNameLike | IfNameMatches | IfPathMatches
            ):
                return (
                    f"what is asked of {before!a:.80} stands with it: IfAll({before!a:.80}, ...)"
                )
            break
        before = component
    return "name one, or use a function on many, such as get_many"


def _shown_pattern(path: Path | PathPattern) -> str:
    """Show the unix form, which is what most patterns were written in, if there is one."""
    try:
        return shown(unix_form(path))
    except InvalidPathError:
        return shown(path)


def includes_root(path: Path | PathPattern) -> bool:
    """Tell whether a resolved pattern is the root itself."""
    return targets_specific_node(path) == ()
