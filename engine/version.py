"""The version of Headgate; here, as a look into the package's metadata takes a worker a tenth of its start."""

VERSION = "0.1.0"
