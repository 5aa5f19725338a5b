"""Proposes the trials of a study, in batches or one at a time, and says whether it ends."""
