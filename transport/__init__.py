"""How khepri's nodes reach each other: an interface and two ways to keep it.

Read `interface` first. `zmq_transport` carries messages between processes, `memory_network` inside
one. What a frame holds is in `wire` and `codec`, who is let in is in `cookie`, `curve` and `zap`.
Nothing here knows Raft: a message is a kind, a store and bytes.
"""
