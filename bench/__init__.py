"""Benchmarks: figures with their baselines from the same run."""
