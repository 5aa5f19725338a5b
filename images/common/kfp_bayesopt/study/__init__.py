"""What a person asks for: the study file, the objective, the sources of its value, early stopping."""
