"""The commands, a file for each group of them.

`--help` imports these files and waits for nothing: at their top they import click, the options and the lists of
choices; what a command needs is imported in its body.
"""
