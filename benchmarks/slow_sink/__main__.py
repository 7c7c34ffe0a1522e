"""`python -m benchmarks.slow_sink`, the same as `headgate bench slow-sink`."""

from benchmarks.slow_sink.command import slow_sink

if __name__ == "__main__":
    slow_sink(prog_name="python -m benchmarks.slow_sink")
