"""Tuning as one step of anybody's pipeline: a component with inputs and outputs."""
