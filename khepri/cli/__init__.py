"""The command line: ``khepri`` and ``python -m khepri``.

`main` knows which commands there are and what exit codes mean. A command is a module of the same
name with two functions, imported only when it is asked for:

- ``add_arguments(parser)`` says what it takes,
- ``run(arguments)`` does it and gives the exit code.

``serve`` and ``cluster`` (a node in the foreground, and commands to a running one) will be two
more modules and two more lines in `main`. The demonstration is `khepri.cli.demo`.
"""
