"""Headgate: streaming dataflow graphs in Python with back-pressure from end to end."""
