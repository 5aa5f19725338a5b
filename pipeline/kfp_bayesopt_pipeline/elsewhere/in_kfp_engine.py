"""Runs a study of a notebook or a script by KFP's engine on this machine, a container for each trial."""

from __future__ import annotations

from kfp_bayesopt import extras, workspace
from kfp_bayesopt.folder.roots import local_root
from kfp_bayesopt_pipeline.elsewhere import in_process
from kfp_bayesopt_pipeline.elsewhere.images import images_here
from kfp_bayesopt_pipeline.elsewhere.order import Order

stop = in_process.stop
find = in_process.find


def run(order: Order) -> str:
    """Run a study to its end, and return its folder."""
    with extras.needed_by("KFP's engine", "kfp"):
        from kfp_bayesopt_pipeline.places import kfp_local
    data = kfp_local.check(order.study, order.study.name, order.data)
    images = images_here(order)
    study = order.prepared(str(workspace.out().resolve()))
    root = order.root or local_root(study)
    content = study.to_text().encode()
    mounts = kfp_local.mounts_of(study)
    kfp_local.run_read(
        study, content, order.folder, images, root, order.going_on, data, order.view, order.say, mounts=mounts
    )
    return root
