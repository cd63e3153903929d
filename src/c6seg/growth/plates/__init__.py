"""Plates: maps, comparisons of treatments, dose responses.

Reading order: ``results``, ``map`` (with ``files``, ``columns``, ``words``, ``layout``), ``join``, ``groups``,
``mixed``, ``power``, ``compare``, ``edge``, ``dose_fit``, ``dose``, ``tables``.
"""
