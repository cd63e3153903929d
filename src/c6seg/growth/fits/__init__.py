"""One series to a rate: laws, fits, resampling, choice of the law, verdicts, advice.

Reading order: ``laws``, ``refitting``, ``fitting``, ``resampling``, ``selection``, ``advice``, ``verdicts``.
"""
