"""The forms of the component that tunes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from kfp_bayesopt_pipeline.cluster import Cluster


@dataclass(frozen=True)
class Own:
    """What the component of one study has of it.

    Attributes:
        text: The study file.
        images: The image of each of its steps, by name.
        cluster: The KFP cluster that it is for; None for Vertex.
        defaults: Inputs with another default than usual.
    """

    text: str
    images: tuple[tuple[str, str], ...]
    cluster: Cluster | None = None
    defaults: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True)
class Form:
    """A form of the component.

    Attributes:
        image: The image of its tasks; None where it comes at run time, or where the study has several.
        data: Whether the data are an artifact, which is required then.
        own: The study that it is for; None for every one.
    """

    image: str | None = None
    data: bool = False
    own: Own | None = None

    def to_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def from_data(cls, found: dict[str, Any]) -> Self:
        """Return what `to_data` has given, as JSON has it."""
        own = found.pop("own")
        if own is None:
            return cls(**found)
        pairs: dict[str, Any] = {name: tuple(map(tuple, own.pop(name))) for name in ("images", "defaults")}
        cluster = own.pop("cluster")
        return cls(**found, own=Own(**own, **pairs, cluster=None if cluster is None else Cluster(**cluster)))
