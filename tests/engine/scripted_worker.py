"""A worker for tests: runs the program that it is handed."""

from engine.lifeline import read_bootstrap

exec(read_bootstrap().decode(), {"__name__": "scripted"})
