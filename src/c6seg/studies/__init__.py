"""Studies: many trainings that differ in a few factors, and what can be said of their differences.

Reading order: ``spec``, ``files`` and ``grid`` (a study file), ``data`` and ``divisions``, ``jobs`` and ``plan`` (its
runs), ``work``, ``ledger``, ``runner`` and ``cluster`` (do them, once), ``results`` and ``reporting`` (what is done),
``scores`` (the counts of all runs), ``info`` (the plan and the words), ``summary`` (means and comparisons), ``tables``,
``sentences``, ``figures`` and ``published`` (what they say, beside the paper's figures), ``report`` (all of it in
files).
"""
