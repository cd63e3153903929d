"""Masks over time to biology. No torch, no models.

Reading order: ``measure`` (masks to numbers), ``names`` and ``series`` (which image is which well and time),
``fitting``, ``selection``, ``verdicts`` and ``curves`` (series to doubling time, or words), ``tables``, ``figures``,
``methods`` and ``report`` (results to files), ``analysis`` (all of it).
"""
