"""Pixels to network input, the same in training and inference: preprocess, augment, scale."""
