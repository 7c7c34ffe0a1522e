"""Benchmarks: micro benchmarks beside the same work by hand, and whole jobs."""
