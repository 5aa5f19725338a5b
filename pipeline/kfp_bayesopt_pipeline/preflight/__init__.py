"""The checks before anything is sent."""
