"""Peers: the same source, count and sink over two processes, on what else there is."""
