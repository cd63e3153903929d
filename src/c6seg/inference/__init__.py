"""From a frame to a mask: engine, tiling, segmenter, batch. No torch."""
