"""Proof by seed: what must never happen, looked for in simulated runs.

The simulator itself is public: `khepri.testing.simulation`. Here is what is done with it.

Checked after every step of every member (`tests/sim/*_checker.py`; numbers of raft_cases):

* I1 one leader per term, I2 one vote per term, I3 terms only grow and are durable before they
  are spoken of, I4 a leader does not touch its own log, I5 log matching, I6 leader completeness,
  I7 state machine safety, I8 commit and applied indexes;
* I9 what is committed is durable on a majority, and comes back after a power loss;
* I10 nothing acknowledged is lost, nothing refused is applied, nothing is applied twice;
* I11 linearizability (`linearizability.py`), session guarantees of local reads;
* I17 calls that triggers ask for are made at least once, in order, and none that is not owed
  (`call_checker.py`, `trigger_model.py`); I7 and I11 hold for transactions and expiry too;
* I12 majorities of consecutive configurations meet, I13 match indexes are true;
* I18 all members apply an entry by the same version of the machine, and know it.

At rest: I14 all members are equal and equal to a plain model, I15 progress (the simulator demands
it), I16 bounds.

Chaos: see `khepri/testing/simulation_faults.py`. Planted bugs, which show that the net holds, are
in `planted_*.py`; rare branches and whether they are reached in `marks.py`; `campaign.py` runs
seeds.
"""
