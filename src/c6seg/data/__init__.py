"""Files to numpy, never torch: images, annotations, datasets, checks, splits, synthetic."""
