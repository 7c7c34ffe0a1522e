"""`python -m benchmarks.nexmark`, the same as `headgate bench nexmark`."""

from benchmarks.nexmark.command import nexmark

if __name__ == "__main__":
    nexmark(prog_name="python -m benchmarks.nexmark")
