"""The study: its file, the objective, the sources of its value, schedules, early stopping."""
