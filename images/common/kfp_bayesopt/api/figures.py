"""The figures of the report one by one, for the cells of a notebook."""

from __future__ import annotations

import html
from os import PathLike
from pathlib import Path

from kfp_bayesopt.errors import UserError, named, shown
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.report.page import figure_in_cell, figures
from kfp_bayesopt.session.watching import Live
from kfp_bayesopt.store import storage
from kfp_bayesopt.wording import nearest


class Figure:
    """A figure of the report, which a notebook draws: alone in its cell, by the script of the report.

    Attributes:
        name: Its name, such as `history`.
        title: Its title, such as `History`.
    """

    def __init__(self, name: str, title: str, page: bytes) -> None:
        """Take a figure; `Result.figure` returns one."""
        self.name = name
        self.title = title
        self._page = page

    def __repr__(self) -> str:
        return f"<figure {self.name}: a notebook draws it, and save('{self.name}.html') writes it into a file>"

    def _repr_html_(self) -> str:
        return framed(self._page, self.title)

    def save(self, path: str | PathLike[str]) -> str:
        """Write the figure into an HTML file that needs nothing else.

        Args:
            path: The file.

        Returns:
            The file.

        Raises:
            UserError: It cannot be written.
        """
        file = str(Path(storage.given(str(path))))
        storage.replace(file, self._page)
        return file


class Figures:
    """The figures of a study; what they draw is computed again where there is something new.

    Attributes:
        folder: The study folder.
    """

    def __init__(self, folder: StudyFolder) -> None:
        """Take a study folder."""
        self.folder = folder
        self._live: Live | None = None

    def named(self, name: str) -> Figure:
        """Return a figure of the study as it is now.

        Raises:
            UserError: There is no such figure, or the folder cannot be read.
        """
        known = figures()
        if name not in list(known):  # whatever it is
            hint = nearest(str(name), list(known)) or f"there are {named(known)}"
            raise UserError(f"no figure is called {shown(name)}; {hint}")
        if self._live is None:
            # As in the report that is written: a notebook is passed on.
            self._live = Live(self.folder, full=False)
        else:
            self._live.look()
        return Figure(name, known[name], figure_in_cell(self._live.contents, name))


def names() -> list[str]:
    """Return the names of the figures, in the order of the page."""
    return list(figures())


def framed(page: bytes, title: str) -> str:
    """Return a page as a frame for a notebook's cell: it needs no server that the browser would have to reach."""
    return (
        f'<iframe title="{html.escape(title)}" srcdoc="{html.escape(page.decode())}" '
        'style="width:100%;height:420px;border:0" loading="lazy"></iframe>'
    )
