"""Runs a study of a notebook or a script in another place, with its function, images and settings found by itself."""
