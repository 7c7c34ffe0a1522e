"""`python -m benchmarks.throughput`, the same as `headgate bench throughput`."""

from benchmarks.throughput.command import throughput

if __name__ == "__main__":
    throughput(prog_name="python -m benchmarks.throughput")
