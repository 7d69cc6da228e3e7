"""The command line: ``khepri`` and ``python -m khepri``.

`main` knows which commands there are and what exit codes mean. A command is a module of the same
name (``import_`` for ``import``) with two functions, imported only when it is asked for:

- ``add_arguments(parser)`` says what it takes,
- ``run(arguments)`` does it and gives the exit code.

`opening` opens the data directory a command names; `guest` speaks to a running node instead. The
demonstration is `khepri.cli.demo`.
"""
