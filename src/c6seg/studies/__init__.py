"""Studies: many trainings that differ in a few factors, and what can be said of their differences.

Reading order: ``spec`` (a study file), ``plan`` (its runs), ``runner`` with ``ledger`` and ``cluster`` (do them, once),
``scores`` (the counts of all runs), ``info`` (the plan and the words), ``tables``, ``sentences``, ``figures`` and
``published`` (what they say, beside the paper's figures), ``report`` (all of it in files).
"""
