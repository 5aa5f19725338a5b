"""The loop of a worker: one trial after another, beside other workers, and its signs of life."""
