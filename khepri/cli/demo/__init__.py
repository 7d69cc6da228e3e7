"""The demonstration: ``make demo``, or ``python -m khepri.cli.demo``.

`__main__` is the story of one node, `three_nodes` that of three. `packages` and `characters` read
real documents of this machine, `queries` asks patterns. `writer` is the process that gets killed,
`crash` kills it and checks what is left; `member` is one of the three nodes, `member_process` the
other end of the line to it.
"""
