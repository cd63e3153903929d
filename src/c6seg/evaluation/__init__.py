"""The metric, the protocol, the statistics: counts first, scores later."""
