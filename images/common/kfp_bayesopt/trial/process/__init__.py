"""The process of an objective: its environment, what it prints, and its end."""
