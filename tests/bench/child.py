"""One measurement in a process of its own: ``python -m tests.bench.child MODULE FUNCTION JSON``.

A fresh process has no heap, threads or imports of an earlier measurement, and what it leaves
behind ends with it. The last line of its standard output is the sample.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .harness import Sample

_DEADLINE_SECONDS = 900.0
_ROOT = Path(__file__).resolve().parent.parent.parent


class ChildFailedError(Exception):
    """A measuring process ended with an error; the message has what it wrote."""


def in_child(function: Callable[..., Sample], **arguments: str | float | bool) -> Sample:
    """Run a module-level function in a fresh interpreter and give what it returns.

    Raises:
        ChildFailedError: it raised, or took longer than 15 minutes.
    """
    command = [sys.executable, "-m", __name__, function.__module__, function.__qualname__]
    try:
        done = subprocess.run(
            [*command, json.dumps(arguments)],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DEADLINE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildFailedError(f"{function.__qualname__}({arguments}) did not end") from error
    if done.returncode != 0:
        raise ChildFailedError(f"{function.__qualname__}({arguments}):\n{done.stderr}")
    sample: Sample = json.loads(done.stdout.splitlines()[-1])
    return sample


def main(module_name: str, function_name: str, arguments_json: str) -> None:
    """Be the child."""
    function: Callable[..., Any] = getattr(importlib.import_module(module_name), function_name)
    print(json.dumps(function(**json.loads(arguments_json))))


if __name__ == "__main__":
    main(*sys.argv[1:])
