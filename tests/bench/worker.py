"""A process that is asked again and again: ``python -m tests.bench.worker MODULE CLASS JSON``.

It makes one object and calls its methods as lines of JSON on standard input say; each answer is
one line on standard output. So a member of a cluster can be measured, killed and started again.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT = Path(__file__).resolve().parent.parent.parent
_END_SECONDS = 20.0


class WorkerFailedError(Exception):
    """A worker ended, or a method raised; the message has what it wrote."""


class Worker:
    """The parent's side of one such process. For one thread."""

    def __init__(self, made: Callable[..., object], **arguments: object) -> None:
        """Start it.

        Args:
            made: a class of a module; the process makes one of it.
            arguments: for the class.
        """
        self._complaints: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed with it
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                __name__,
                made.__module__,
                made.__qualname__,
                json.dumps(arguments),
            ],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )

    def begin(self, method: str, **arguments: object) -> None:
        """Have a method called; `finish` gives what it returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([method, arguments]) + "\n")
        self._process.stdin.flush()

    def finish(self) -> Any:
        """Wait for the method that was begun.

        Raises:
            WorkerFailedError: it raised, or the process ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._complaints.seek(0)
            raise WorkerFailedError(self._complaints.read())
        return json.loads(line)

    def call(self, method: str, **arguments: object) -> Any:
        """Begin and finish."""
        self.begin(method, **arguments)
        return self.finish()

    def close(self) -> None:
        """End it as a power cut would, and wait for that. May be called twice."""
        self._process.kill()
        self._process.wait(_END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._complaints):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what was not sent is not wanted
                    pipe.close()


def main(module_name: str, class_name: str, arguments_json: str) -> None:
    """Be the process."""
    made: Any = getattr(importlib.import_module(module_name), class_name)
    subject = made(**json.loads(arguments_json))
    for line in sys.stdin:
        method, arguments = json.loads(line)
        print(json.dumps(getattr(subject, method)(**arguments)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
