"""Small complete jobs, each a package of its own: `python -m examples.flights`."""
