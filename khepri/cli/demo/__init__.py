"""The demonstration: ``make demo``, or ``python -m khepri.cli.demo``.

`__main__` is the story. `packages` and `characters` read real documents of this machine, `queries`
asks patterns, `writer` is the process that gets killed, `crash` kills it and checks what is left.
"""
