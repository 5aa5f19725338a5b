"""Proposes the trials of a study, in batches or one at a time, and decides whether it ends."""
