"""The step `init`: checks the study and its folder, and proposes the first batch of trials."""

import logging
from typing import Any

import click

from kfp_bayesopt.proposing.init import init
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.steps.options import with_folder_or_root
from kfp_bayesopt.steps.outputs import Outputs


def _open(**given: Any) -> Outputs:
    from kfp_bayesopt import hints
    from kfp_bayesopt.session.tuned import begin_tuned, open_tuned

    hints.comes_by_pipeline()
    return begin_tuned(open_tuned(**given))


@click.command(cls=Command)
@with_folder_or_root(_open)
@click.option(
    "--content", default="", help="Text of the study file, if it is to be written there and the job to be opened."
)
@click.option("--opening", default="", help="What the submitter says of the job then, as JSON.")
@click.option("--data", default="", help="What the objective is given: a text, or the URI of its data.")
def main(root: str, study_uri: str, job: str | None, content: str, opening: str, data: str) -> Outputs:
    """Check a study and its folder, and propose the first batch of trials.

    Existing files of the folder stay. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/init --root out/branin --study studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    if content:
        from kfp_bayesopt.session.sent import open_sent  # who has opened the job does without what it imports

        open_sent(root, study_uri, job, content, opening)
    return init(root, study_uri, job, data)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    main()
