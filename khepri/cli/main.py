"""Finds the command, runs it, and turns every error into one line and an exit code."""

from __future__ import annotations

import argparse
import codecs
import errno
import importlib
import json
import logging
import re
import sys
from importlib.metadata import version
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from khepri.errors import KhepriError

from .outcomes import CommandError, ExitCode, abandon, complain, exit_code_of, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "load": "put a JSON document into a store",
    "put": "create a tree node or replace its payload",
    "delete": "remove a tree node and what is below it",
    "get": "print the payload of one tree node",
    "info": "show what a store is and has, for a person",
    "tree": "draw a store, or a part of it",
    "dump": "print tree nodes, one JSON line each",
    "export": "back up a store, or a part of it, to a file",
    "import": "put a backup back into a store",
    "serve": "run a node in the foreground until SIGTERM or SIGINT",
    "cluster": "speak to a running node: members, status, join, reset, remove, transfer",
}


_ESCAPING = "khepri.cli.escaping"


class _Parser(argparse.ArgumentParser):
    """Complains in one line, where argparse would print the usage first."""

    def __init__(self, *words: Any, **options: Any) -> None:  # noqa: ANN401 - argparse's own
        """Take -1e5 for a number, as argparse does from Python 3.14 on, and not for an option."""
        super().__init__(*words, **options)
        self._negative_number_matcher = re.compile(r"-\.?\d")

    def error(self, message: str) -> NoReturn:
        """End the process with the exit code for misuse."""
        complain(f"{message} (see {self.prog} --help)")
        sys.exit(ExitCode.MISUSE)


class _Command(Protocol):
    """What the module of a command has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the words after ``khepri``; left out, those this process was started with.

    Returns:
        An `ExitCode`. Errors are told in one line on standard error.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  # closed by the shell
        complain("standard output is closed")
        return ExitCode.FAILED
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        codecs.register_error(_ESCAPING, _escaped)
        reconfigure(errors=_ESCAPING)
    # What fails is told in one line. `serve` alone tells more, by a handler of its own.
    logging.getLogger("khepri").addHandler(logging.NullHandler())
    try:
        command, arguments = _parse(words)
        code = command.run(arguments)
        sys.stdout.flush()
    except KhepriError as error:
        complain(error.message)
        code = exit_code_of(error)
    except CommandError as error:
        complain(str(error))
        code = error.exit_code
    except BrokenPipeError:
        code = _leave_broken_pipe()
    except OSError as error:
        complain(_what_failed(error))
        code = ExitCode.FAILED
    except KeyboardInterrupt:
        complain("interrupted")
        code = ExitCode.INTERRUPTED
    return code


def _escaped(error: UnicodeError) -> tuple[str, int]:
    r"""Write what the terminal has no sign for as JSON does, ``\u00e9``: JSON stays JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _parse(words: list[str]) -> tuple[_Command, argparse.Namespace]:
    """Read the words; only the module of the named command is imported."""
    parser = _Parser(
        prog="khepri",
        description="Look into a khepri data directory, run a node, or speak to one that runs.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit codes:\n" + "\n".join(f"  {code:3}  {code.meaning}" for code in ExitCode),
    )
    parser.add_argument("--version", action="version", version=f"khepri {version('khepri-store')}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules: dict[str, _Command] = {}
    for name, what in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=what, description=sentence(what))
        if name in words:
            # A module cannot be called like a word of the language.
            module = f".{name}_" if iskeyword(name) else f".{name}"
            modules[name] = cast("_Command", importlib.import_module(module, __package__))
            modules[name].add_arguments(subparser)
    arguments = parser.parse_args(words)
    return modules[arguments.command], arguments


def _what_failed(error: OSError) -> str:
    """Name the file that failed; the store's disk is none: it has errors of khepri's own."""
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"standard output: {error.strerror}"
    return str(error)


def _leave_broken_pipe() -> int:
    """End as a program does that SIGPIPE ends: ``khepri dump | head`` is no error."""
    abandon(sys.stdout)
    return ExitCode.BROKEN_PIPE


if __name__ == "__main__":
    sys.exit(main())
