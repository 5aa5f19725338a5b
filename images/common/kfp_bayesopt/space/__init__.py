"""The search space: its parameters and their values, conditions, constraints, limits, and what is best."""
