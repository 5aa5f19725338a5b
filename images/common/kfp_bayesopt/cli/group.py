"""The group of commands: it imports a command when it is called, and lists them by section without importing any."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

from kfp_bayesopt.cli.renamed import say_renamed
from kfp_bayesopt.errors import shown_name
from kfp_bayesopt.steps.command import Group

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

INTERRUPTED = 130
"""The status of a program that Ctrl-C has ended, as shells have it."""


@dataclass(frozen=True)
class Listed:
    """A command in the list.

    Attributes:
        where: Its file in the folder of commands, and its name there: `run_commands:run`.
        section: The title that it stands under in `--help`; None where it is not for everybody.
        says: What `--help` says of it: the first line of its docstring.
    """

    where: str
    section: str | None
    says: str


class Commands(MutableMapping[str, click.Command]):
    """The commands by name, each of which is imported when it is asked for."""

    def __init__(self, listed: Mapping[str, Listed]) -> None:
        self._listed = dict(listed)
        self._found: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._found:
            module, _, attribute = self._listed[name].where.partition(":")
            found: click.Command = getattr(importlib.import_module(f"kfp_bayesopt.cli.commands.{module}"), attribute)
            self._found[name] = found
        return self._found[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> NoReturn:
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


class Listing(Group):
    """The group of all commands.

    Attributes:
        listed: The commands, in the order of `--help`.
        renamed: The new name of each command by its old one.
        prepare: Is called before a command runs; neither help nor completion calls it.
    """

    def __init__(
        self,
        *arguments: Any,
        listed: Mapping[str, Listed],
        renamed: Mapping[str, str],
        prepare: Callable[[], None],
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.listed = listed
        self.renamed = renamed
        self.prepare = prepare
        self.commands = Commands(listed)

    def sections(self) -> dict[str, list[str]]:
        """Return the names of the commands below each title."""
        found: dict[str, list[str]] = {}
        for name, each in self.listed.items():
            if each.section is not None:
                found.setdefault(each.section, []).append(name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section."""
        width = max(map(len, self.listed))
        for section, names in self.sections().items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), self.listed[name].says) for name in names])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what a word that has begun may become."""
        from click.shell_completion import CompletionItem

        names = [name for names in self.sections().values() for name in names if name.startswith(incomplete)]
        # Without the group's own, which would import every command.
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=self.listed[name].says) for name in names), *options]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name and the command that the first word means, and the other words."""
        name, *rest = args
        is_called = not ctx.resilient_parsing
        if name in self.renamed:
            if is_called:
                say_renamed(name, self.renamed[name])
            name = self.renamed[name]
        if is_called and name not in self.listed:
            near = self._near(name)
            hint = f"did you mean {near!r}?" if near else f"`{ctx.command_path} --help` lists them"
            ctx.fail(f"no command {shown_name(name)}; {hint}")
        if is_called and not set(rest) & set(ctx.help_option_names):
            self.prepare()
        return super().resolve_command(ctx, [name, *rest])

    def _near(self, name: str) -> str | None:
        """Return the command that was probably meant."""
        import difflib

        known = [name for names in self.sections().values() for name in names]
        near = difflib.get_close_matches(name[:100], [*known, *self.renamed], 1)
        return self.renamed.get(near[0], near[0]) if near else None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C ends it without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)  # below the ^C of a terminal
            ctx.exit(INTERRUPTED)
