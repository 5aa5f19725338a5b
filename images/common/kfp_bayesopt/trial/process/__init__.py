"""The process of an objective: its environment, its output, and its end."""
