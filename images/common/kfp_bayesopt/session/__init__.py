"""A session is a study that is open, with its job."""

from kfp_bayesopt.session.session import NoAnswerError, Session, stop_here
from kfp_bayesopt.session.session import open_session as open  # noqa: A004 - it is said with its room: session.open

__all__ = ["NoAnswerError", "Session", "open", "stop_here"]
