"""Closing wounds (scratch assays): the gap in the masks, how it closes, and what that says.

Reading order: ``results``, ``pixels``, ``area``, ``fields``, ``law``, ``noise``, ``draws``, ``fit``, ``words``,
``figures``, ``tables``.
"""
