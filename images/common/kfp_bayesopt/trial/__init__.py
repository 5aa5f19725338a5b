"""One trial, from its claim to its record; and the worker, which runs one trial after another."""
