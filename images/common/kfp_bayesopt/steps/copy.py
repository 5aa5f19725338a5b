"""Copies one file or object: `python -m kfp_bayesopt.steps.copy SOURCE DESTINATION`."""

import sys

import click

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage

MAX_BYTES = 1 << 30


@click.command(cls=Command)
@click.argument("source")
@click.argument("destination")
def main(source: str, destination: str) -> None:
    """Copy a file or object.

    SOURCE and DESTINATION are URIs of buckets or local paths. The destination is replaced as a whole, or not at all;
    `-` prints the content instead.

    \b
    Example:
      python -m kfp_bayesopt.steps.copy gs://bucket/branin/iteration-4/best.json -
    """  # noqa: D301 - click wants the character \b
    content = storage.read(source, MAX_BYTES)
    if destination == "-":
        _print(content)
    else:
        storage.replace(destination, content)


def _print(content: bytes) -> None:
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has enough; click exits 1 without a word
        raise
    except OSError as error:
        raise UserError(f"standard output: {error.strerror}; check where it goes") from None


if __name__ == "__main__":
    main(prog_name="python -m kfp_bayesopt.steps.copy")
