"""The unix form of paths: text to components and back.

Here is only syntax; what a path is and how it is resolved is in ``paths.py``. The grammar::

    path      = "" | "/" | "/" components | components
    components = component *( "/" component ) [ "/" ]
    component = "."  | ".."                the tree node itself, its parent
              | "*"  | "**"                any child, any descendant
              | text with "*" in it        a glob: "*" is any characters, all else is literal
              | text                       a name

``%HH`` stands for a byte of UTF-8. It is decoded after stars were looked for, so that ``%2A`` is
a literal star and every name can be written. A ``%`` not followed by two hexadecimal digits stands
for itself. One trailing slash is ignored, an empty component is the empty name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from khepri.errors import InvalidPathError

from .components import Component, Condition
from .conditions import IfNameLike, IfNameMatches, IfPathMatches
from .names import MAX_PATH_COMPONENTS, PARENT, THIS, Special, problem_with_name
from .shown import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

STAR: Final = IfNameMatches()
"""``*``: any child."""

STAR_STAR: Final = IfPathMatches()
"""``**``: any descendant, one level down or more."""


def parse_unix(path: str) -> list[Component]:
    """Read the unix form of a path or pattern.

    Args:
        path: any text.

    Returns:
        The components. A relative path begins with THIS, unless its first component is a special
        or a wildcard (so does Khepri; for data operations it makes no difference).

    Raises:
        InvalidPathError: a name is too long or cannot be UTF-8, or there are too many.
    """
    if path.count("/") > MAX_PATH_COMPONENTS + 1:
        raise too_many_components(path)
    absolute = path.startswith("/")
    texts = (path[1:] if absolute else path).split("/")
    if not texts[-1]:
        texts.pop()
    components = [_component(text, path) for text in texts]
    if not absolute and components and isinstance(components[0], str):
        components.insert(0, THIS)
    return components


def _component(text: str, path: str) -> Component:
    if "*" in text:
        return _wildcard(text, path)
    if text == ".":
        return THIS
    if text == "..":
        return PARENT
    return _decoded(text, path)


def _wildcard(text: str, path: str) -> Component:
    if text == "**":
        return STAR_STAR
    if not text.strip("*"):
        return STAR
    return IfNameLike(tuple(_decoded(part, path) for part in text.split("*")))


def _decoded(text: str, path: str) -> str:
    if "%" in text:
        try:
            text = unquote(text, errors="strict")
        except UnicodeDecodeError as error:
            raise InvalidPathError(
                f"the path {shown(path)} has the component {shown(text)} that is not UTF-8"
                " when its escapes are decoded",
                path=path,
                component=text,
            ) from error
    problem = problem_with_name(text)
    if problem is not None:
        raise InvalidPathError(
            f"the path {shown(path)} has the component {shown(text)} that is not a name:"
            f" {problem}",
            path=path,
            component=text,
        )
    return text


def too_many_components(path: object) -> InvalidPathError:
    """Make the error for a path beyond `MAX_PATH_COMPONENTS`."""
    return InvalidPathError(
        f"the path {shown(path)} has more than {MAX_PATH_COMPONENTS} components",
        path=path,
        component=None,
    )


def unix_form(components: Sequence[Component]) -> str:
    """Write a path or pattern in its unix form; `parse_unix` reads it back to the same.

    Raises:
        InvalidPathError: it has a condition that has no unix form, or a ROOT.
    """
    if not components:
        return "/"
    texts = [_text(component, components) for component in components]
    first = components[0]
    if texts[-1] == "":
        texts.append("")
    if first is THIS and len(components) > 1 and isinstance(components[1], str) and texts[1]:
        return "/".join(texts[1:])
    relative = isinstance(first, Special)
    return "/".join(texts) if relative else "/" + "/".join(texts)


def _text(component: Component, components: Sequence[Component]) -> str:
    if isinstance(component, str):
        return _quoted(component)
    if component is THIS or component is PARENT:
        return str(component.value)
    if component == STAR:
        return "*"
    if component == STAR_STAR:
        return "**"
    if isinstance(component, IfNameLike):
        return "*".join(map(_quoted, component.parts))
    kind = "condition" if isinstance(component, Condition) else "special"
    raise InvalidPathError(
        f"the {kind} {component!r} has no unix form",
        path=tuple(components),
        component=component,
    )


def _quoted(name: str) -> str:
    """Escape all but letters, digits, ``-``, ``_``, ``~`` and a dot that is not the first."""
    quoted = quote(name, safe="")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted
