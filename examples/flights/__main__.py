"""Starts the command: as `python -m examples.flights`, or as `python flights` beside a copy of this folder."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if not __package__:  # started by the path of the folder
    sys.path[0] = str(HERE.parent)

if __name__ == "__main__":
    importlib.import_module(f"{__package__ or HERE.name}.command").main()
