"""The search space: its parameters and their values, conditions, constraints, limits, and the best trials."""
