"""Runs studies: in this process, in compose, and on Kubeflow and Vertex; and `tune`, a step of a person's pipeline.

What `__all__` names is promised, and everything else may change. A name is imported when it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfp_bayesopt_pipeline.tuning.calling import tune

__all__ = ["tune"]


if not TYPE_CHECKING:  # with it, any name would be there

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from kfp_bayesopt_pipeline.tuning import calling

        globals()[name] = found = getattr(calling, name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
