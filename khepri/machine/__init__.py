"""The pure replicated machine: a tree, and everything that may be asked of it and done to it.

Log entries go in, replies and a new immutable tree come out; the same entries give the same state
on every member. Nothing here reads a clock, opens a file, starts a thread or draws a random
number. ``docs/explanation/tree.md`` gives the files in reading order.

What the rooms above use: `machine.Machine` and `entries` (the server), `commands`, `values` and
`replies` (a caller's thread, on the way in and out), `queries` on `Machine.view` (any thread),
`paths` and `conditions` (users).
"""
