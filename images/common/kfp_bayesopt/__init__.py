"""Parallel Bayesian hyperparameter optimisation: a study is a folder of plain files, here or in a bucket.

What `__all__` names is promised, and everything else may change. A name is imported when it is used, so that importing
the package takes no time and needs no other one.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfp_bayesopt.api.asking import Search, Trial
    from kfp_bayesopt.api.outcome import Best, Status
    from kfp_bayesopt.api.result import Result, open_study
    from kfp_bayesopt.api.running import run
    from kfp_bayesopt.api.tuning import tune
    from kfp_bayesopt.errors import UserError
    from kfp_bayesopt.function.contents import Contents, travels
    from kfp_bayesopt.proposing.verify import Checked
    from kfp_bayesopt.space.parameters import Categorical, Constant, Integer, Ordinal, Real
    from kfp_bayesopt.study.study import Study
    from kfp_bayesopt.version import __version__

__all__ = [
    "Best",
    "Categorical",
    "Checked",
    "Constant",
    "Contents",
    "Integer",
    "Ordinal",
    "Real",
    "Result",
    "Search",
    "Status",
    "Study",
    "Trial",
    "UserError",
    "__version__",
    "open_study",
    "run",
    "travels",
    "tune",
]

_ROOMS = {
    **dict.fromkeys(("Search", "Trial"), "api.asking"),
    **dict.fromkeys(("Best", "Status"), "api.outcome"),
    **dict.fromkeys(("Result", "open_study"), "api.result"),
    "run": "api.running",
    "tune": "api.tuning",
    "Checked": "proposing.verify",
    **dict.fromkeys(("Contents", "travels"), "function.contents"),
    "UserError": "errors",
    **dict.fromkeys(("Categorical", "Constant", "Integer", "Ordinal", "Real"), "space.parameters"),
    "Study": "study.study",
    "__version__": "version",
}
"""The module of each name."""


if not TYPE_CHECKING:  # with it, any name would be there

    def __getattr__(name: str) -> Any:
        if name not in _ROOMS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        globals()[name] = found = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
