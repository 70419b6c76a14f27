"""Measurements of speed: paired, interleaved, correctness first."""
