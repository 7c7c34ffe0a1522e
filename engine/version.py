"""The version of Headgate; here and not in the package's metadata, as reading that takes a worker a tenth of its start."""

VERSION = "0.1.0"
