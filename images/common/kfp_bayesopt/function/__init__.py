"""A function of a notebook or a script as a file: what it refers to goes along, and it is told by its code."""
