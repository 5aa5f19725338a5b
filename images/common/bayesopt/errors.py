"""The mistakes that a person can mend: shown as one message, without a traceback."""

import click


class UserError(click.ClickException):
    """A mistake of the user. A click command that raises it prints the message and exits 1.

    The message says what must hold, what came, where, and the way out.
    """

    exit_code = 1


class NotFoundError(UserError):
    """There is no such file, object or bucket."""


class BucketNotFoundError(NotFoundError):
    """There is no such bucket."""
