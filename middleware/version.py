"""The version of this program, as installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("taiga-billing")
except PackageNotFoundError:  # run from a tree that was never installed
    VERSION = "0+unknown"
