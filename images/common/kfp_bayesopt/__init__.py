"""The contract that the steps share: study, trials, storage and errors."""

__version__ = "0.1.0"
