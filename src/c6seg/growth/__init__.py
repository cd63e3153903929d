"""Masks over time to biology: measure, series, curves, report. No torch, no models."""
