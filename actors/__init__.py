"""The actors: threads that carry out what the pure core decides, supervised as in OTP.

``docs/explanation/actors.md`` says who supervises whom and what happens when one ends. The
foundation is, in reading order: `mailbox`, `future`, `actor`, `reference`, `child_spec`,
`child_table`, `supervisor`, `registry`. This package is the only one that knows Pykka.
"""
