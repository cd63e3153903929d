"""Which image is which place and time, and how sure its confluence is.

Reading order: ``patterns``, ``samples``, ``times``, ``clock``, ``interval``.
"""
