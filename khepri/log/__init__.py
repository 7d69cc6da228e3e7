"""Files: write-ahead log, segments, term and vote, snapshots, recovery.

Read `interface` first: what the actors call, and what it promises. Then from the bottom up:
`file_system` (the border to the disk; the real one is `posix_file_system`, its twin in memory
`memory_file_system`), `framing`, `file_header` and `block_file` (how bytes are told from damage),
`paths`; `log_file`, `log_folder` and `write_ahead_log`; `log_tail` and `segments`; `meta`;
`snapshots`; `directory`; and `readings`, `recovery` and `rereading`, which put it all together
again.

Not here: threads (`khepri.actors`), what entries mean (`khepri.machine`), when to write, to
truncate or to take a snapshot (`khepri.raft`).
"""
