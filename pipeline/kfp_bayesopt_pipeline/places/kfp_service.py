"""A KFP cluster, through the client of the KFP SDK."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError as AnsweredError
from urllib.request import Request, urlopen

import kfp
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError, named
from kfp_bayesopt.folder.jobs import Submitted
from kfp_bayesopt.session import NoAnswerError
from kfp_bayesopt.steps import REPORT
from kfp_bayesopt.store import storage, stores
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.images import Images
from kfp_bayesopt_pipeline.places.kfp import ENDPOINT, NAMESPACE, OWN, KfpSettings, way_to
from kfp_bayesopt_pipeline.places.protocol import (
    FAILED,
    NOT_RUN,
    SUCCEEDED,
    Inputs,
    Options,
    RefusedError,
    States,
    inputs_of,
    titles_of,
)
from kfp_bayesopt_pipeline.preflight import checks, limits

RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NO_STATE = "RUNTIME_STATE_UNSPECIFIED"
OPEN = frozenset({"PENDING", "RUNNING"})
UNTOLD = "state not known"
"""What is shown of a task of which the API says that it runs, in a run that has ended."""
OLDEST = (2, 5)
"""The first release whose driver reads a secret's name as kfp-kubernetes writes it (kubeflow/pipelines#11621)."""
MOST_RUNS = 100
MOST_INPUTS = 10_000
"""The longest inputs of a run, all together as JSON (kubeflow/pipelines#12510); the API server of 2.17 took 30,000."""
SHORT_WAIT = timedelta(minutes=2)
"""How long a pod may wait for its image and its machine before that is mentioned."""


class Service:
    """The service of the place `kfp`; its jobs are what the API calls runs."""

    name = "kfp"
    final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})

    def __init__(self, settings: KfpSettings) -> None:
        self._settings = settings

    def problems(self, study: Study | None, images: Images, options: Options) -> list[str]:
        """Look at what Vertex alone has, at the cluster, the images and the bucket."""
        root = self._settings.pipeline_root
        lines = limits.kfp_problems(study, root) if study is not None else []
        if options.labels:
            lines.append(f"{hints.LABEL}: jobs on a KFP cluster have no labels; leave it out")
        outside = (checks.check_service(self._settings.host) or self._too_old()) if self._settings.host else []
        outside += checks.check_images(images, None)
        if self.unreached(root) is not None:
            return lines + outside
        # Without network, a bucket would be asked for two minutes.
        return lines + (outside or checks.check_bucket(root))

    def _too_old(self) -> list[str]:
        """Return that the cluster is too old for our pipelines, if it says its version; those of a developer do not."""
        host = self._settings.host.rstrip("/")
        token = {"Authorization": f"Bearer {self._settings.token}"} if self._settings.token else {}
        try:
            # The generated client drops the version.
            with urlopen(Request(f"{host}/apis/v2beta1/healthz", headers=token), timeout=20) as answer:  # noqa: S310
                told = json.load(answer)
        except AnsweredError as error:
            error.close()
            if error.code != 404:
                return []  # the client has more to say of it
            return [f"host: {host} has no API of KFP 2 (apis/v2beta1); KFP {_said(OLDEST)} or later is needed"]
        except (OSError, HTTPException, ValueError):
            return []
        # The server of the UI, before the API, has a name of its own for it.
        named_so = (told.get("tag_name") or told.get("apiServerTagName")) if isinstance(told, dict) else None
        found = re.match(r"v?(\d+)\.(\d+)", str(named_so))
        if found is None or (version := (int(found[1]), int(found[2]))) >= OLDEST:
            return []
        return [
            f"host: {host} is KFP {_said(version)}, whose driver does not know what our pipelines say of secrets: no "
            f"pod would start; KFP {_said(OLDEST)} or later is needed, and 2.17 is what was tried"
        ]

    def unreached(self, root: str) -> str | None:
        """Return how this machine can reach a study folder in the store of the cluster, or on a volume."""
        if storage.is_local(root):
            return "it is on a volume of the cluster; copy it from a pod that mounts that with `kubectl cp`"
        if not root.startswith(OWN) or stores.has_address(root):
            return None
        return way_to(self._settings.store_endpoint or ENDPOINT)

    def jobs_of(self, root: str) -> dict[str, bool]:
        """Return our ids of the last runs of a study folder, and whether each has ended."""
        client = self._client
        with _api_errors(self._settings.host):
            last = client.list_runs(
                sort_by="created_at desc", page_size=MOST_RUNS, namespace=self._settings.namespace or None
            )
        found = {}
        for run in last.runs or []:
            with contextlib.suppress(UserError):  # it is none of ours
                its = self.inputs(run)
                if its.root == root:
                    found[its.job] = _state(run) in self.final
        return found

    def submit(
        self, study: Study, job: str, root: str, compiled: Path, options: Options, along: Mapping[str, str]
    ) -> Submitted:
        """Submit the compiled pipeline of a study; the run has the id of the job as its name.

        The artifacts of the run go to where the cluster puts them: its launcher can write there.
        """
        settings = self._settings
        client = self._client
        arguments = {"root": root, "job": job, **along}
        if (size := len(json.dumps(arguments))) > MOST_INPUTS:
            raise UserError(
                f"{study.name}: the run would have {size:,} characters of inputs, and a cluster may refuse more than "
                f"{MOST_INPUTS:,}; {self.unreached(root) or 'shorten the study file'}"
            )
        with _api_errors(settings.host), contextlib.redirect_stdout(io.StringIO()):  # it prints links, as we do
            run = client.create_run_from_pipeline_package(
                str(compiled),
                arguments=arguments,
                run_name=options.run_name or job,
                experiment_name=settings.experiment_name or None,
                namespace=settings.namespace or None,
                enable_caching=False,  # the records are the cache
            )
        return Submitted(id=run.run_id, page=self._page(run.run_id))

    def find(self, job: str) -> Any:
        """Ask for a run by its id, or by its name, which is our id unless the person gave it another one."""
        client = self._client
        with _api_errors(f"job {job}"):
            if not RUN_ID.fullmatch(job):
                named = {"operation": "EQUALS", "key": "display_name", "stringValue": job}
                runs = client.list_runs(
                    filter=json.dumps({"predicates": [named]}),
                    sort_by="created_at desc",
                    page_size=1,
                    namespace=self._settings.namespace or None,
                ).runs
                if not runs:
                    raise UserError(f"job {job}: the cluster has no such job; check the id and the host")
                job = runs[0].run_id
            return client.get_run(job)

    def cancel(self, found: Any) -> None:
        """Ask the cluster to stop a run."""
        with _api_errors(f"job {found.run_id}"):
            self._client.terminate_run(found.run_id)

    def states(self, found: Any) -> States:
        """Return the states of a run."""
        titles = titles_of(_spec(found))
        state = _state(found) or "PENDING"  # nobody has told the API of it yet
        if state == FAILED and any(each.state == "CANCELING" for each in found.state_history or []):
            state = "CANCELED"  # the API has no word of its own for the end of a run that somebody has stopped
        tasks = [(titles[each.display_name], _state(each)) for each in _tasks(found) if each.display_name in titles]
        if self._is_untold(found, state):
            return States(state, [(title, UNTOLD if its in OPEN else its) for title, its in tasks if its is not None])
        begun = [(title, its) for title, its in tasks if its is not None]
        omitted = [title for title, its in tasks if its is None]
        if state in self.final and state != SUCCEEDED:
            known = {title for title, _ in tasks}
            omitted += [title for title in dict.fromkeys(titles.values()) if title not in known]
        return States(state, [*begun, *((title, NOT_RUN) for title in sorted(omitted, key=_by_number))])

    def _is_untold(self, found: Any, state: str) -> bool:
        """Tell whether the API has not heard how tasks ended: it reads no Workflow above 1 MiB, which Argo packs."""
        return state in self.final and any(_state(each) in OPEN for each in _tasks(found))

    def reason(self, found: Any) -> str:
        """Return where to find why a run failed: the API does not say it."""
        failed = dict.fromkeys(title for title, state in self.states(found).tasks if state == FAILED)
        what = f"failed in {named(failed)}" if failed else "a pod has failed"
        return f"{what}; KFP's API does not say why: `{self._pods(found)}` does, for an hour after the end"

    def remarks(self, found: Any) -> list[str]:
        """Return where to find why pods were lost, and that others wait for a machine, if they have for long.

        The pod of a task is a node of its own, below that of the task, and all have the same name.
        """
        states = self.states(found)
        if self._is_untold(found, states.job):
            return [
                "the workflow of the run was larger than 1 MiB, and KFP's API knows no state of its tasks after that; "
                f"its page has them: {self._page(found.run_id)}"
            ]
        if states.job in self.final:
            lost = any(state == FAILED and not title.startswith(REPORT.name) for title, state in states.tasks)
            return [self.reason(found)] if lost else []
        titles = titles_of(_spec(found))
        waiting = [each for each in _tasks(found) if _state(each) == "PENDING" and each.display_name not in titles]
        since = min((each.start_time for each in waiting if each.start_time is not None), default=None)
        if since is None or datetime.now(UTC) - since < SHORT_WAIT:
            return []
        return [
            f"{len(waiting)} pods are pending, since {since:%H:%M:%S} UTC: no node has room, a queue holds them, or an "
            f"image, a secret or a volume is missing; `{self._pods(found)}` says which"
        ]

    def _pods(self, found: Any) -> str:
        """Return the command that describes the pods of a run."""
        namespace = self._settings.namespace or NAMESPACE
        return f"kubectl describe pods -n {namespace} -l pipeline/runid={found.run_id}"

    def _page(self, run: str) -> str:
        return f"{self._settings.host.rstrip('/')}/#/runs/details/{run}"

    def inputs(self, found: Any) -> Inputs:
        """Return the study folder of a run and the id of its job there."""
        return inputs_of(found.run_id, (found.runtime_config and found.runtime_config.parameters) or {})

    @functools.cached_property
    def _client(self) -> Any:
        """Connect to the cluster.

        Raises:
            UserError: It does not answer, or refuses the token.
        """
        settings = self._settings
        if lines := checks.check_service(settings.host):
            raise UserError("\n".join(lines))
        with _api_errors(settings.host), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)  # it works with KFP 2 alone, as we do
            return kfp.Client(
                host=settings.host, existing_token=settings.token or None, namespace=settings.namespace or NAMESPACE
            )


def _said(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _state(run_or_task: Any) -> str | None:
    """Return the state of a run or task; the API has none for a task that was left out."""
    state = run_or_task.state
    return str(state) if state and state != NO_STATE else None


def _by_number(title: str) -> list[tuple[int, str]]:
    """Return what puts titles in the order of the iterations in them."""
    return [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"([0-9]+)", title)]


def _tasks(run: Any) -> list[Any]:
    """Return the tasks of a run in the order of their start."""
    tasks = (run.run_details.task_details if run.run_details else None) or []
    return sorted(tasks, key=lambda task: task.start_time or datetime.min.replace(tzinfo=UTC))


def _spec(run: Any) -> dict[str, Any]:
    given: dict[str, Any] = run.pipeline_spec or {}
    spec: dict[str, Any] = given.get("pipeline_spec", given)  # beside `platform_spec`, where there is one
    return spec


@contextlib.contextmanager
def _api_errors(what: str) -> Iterator[None]:
    """Turn an answer of the API that a person can act on into one message."""
    try:
        yield
    except (ApiException, HTTPError, OSError) as error:
        status = getattr(error, "status", None) or 0
        answer = f"{status} {getattr(error, 'reason', '')}".strip()
        if status in (401, 403):
            raise RefusedError(
                f"{what}: the cluster refused the token ({answer}); set KFP_TOKEN to a new one"
            ) from None
        if status == 404:
            raise UserError(f"{what}: the cluster has no such job; check the id and the host") from None
        if 400 <= status < 500:
            raise UserError(f"{what}: refused: {answer}") from None
        cause = answer if status else str(error).partition("\n")[0]
        raise NoAnswerError(f"{what}: no answer from the cluster ({cause})") from None
