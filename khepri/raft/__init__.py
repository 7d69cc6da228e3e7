"""Consensus: the pure Raft core of one member of one store.

Events in, effects out (`core.RaftCore.step`); no clock, file, socket, thread, random number or
log line in here. Start reading at `types.py`, `events.py`, `effects.py`, `messages.py`, then
`core.py`; docs/explanation/raft.md says which rule lives where.
"""
