"""Copies one file or object: `python -m bayesopt.copy SOURCE DESTINATION`."""

import sys

import click

from bayesopt import storage


@click.command()
@click.argument("source")
@click.argument("destination")
def main(source: str, destination: str) -> None:
    """Copy SOURCE to DESTINATION, each a gs:// URI or a local path; `-` prints it.

    \b
    Example:
      python -m bayesopt.copy gs://bucket/branin/iteration-4/best.json -
    """  # noqa: D301 - click wants the character \b
    content = storage.read(source)
    if destination == "-":
        sys.stdout.buffer.write(content)
    else:
        storage.write(destination, content)


if __name__ == "__main__":
    main(prog_name="python -m bayesopt.copy")
