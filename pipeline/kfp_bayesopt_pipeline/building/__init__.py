"""Builds the image that evaluates a study's trials from the study's folder."""
