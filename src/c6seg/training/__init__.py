"""Learning, with torch: batches, losses, loop, recipes."""
