"""Throughput: JSON lines counted by key over one and two processes, here, by hand and on Bytewax."""
