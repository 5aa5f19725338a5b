"""One trial, from its claim to its record; and the worker, which takes one after another."""
