"""Nexmark: an auction's events, the queries of the standard benchmark over them, and answers to check them by."""
