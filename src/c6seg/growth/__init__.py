"""Masks over time to biology. No torch, no models.

Reading order: ``measure`` (masks to numbers), ``names`` and ``series`` with ``timeline`` (which image is which well and
time), ``curves`` with ``fits`` (series to doubling time, or words), ``plate`` with ``plates`` (treatments against
control), ``wound`` with ``wounds`` (closing gaps), ``report`` with ``reporting`` and ``words`` (results to files),
``results`` (folders of a segmentation), ``analysis`` (all of it).
"""
