"""The table that q13 looks up: 10,000 keys and their texts, as the public benchmark's."""

SIDE_INPUT = {key: str(key) for key in range(10_000)}
