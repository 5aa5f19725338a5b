"""Values in a few characters, with 1, 1.0 and "1" still distinct."""

from __future__ import annotations

import json

from kfp_bayesopt.space.parameters import Value

_WORDS = {"true", "false", "null", "none", "nan", "inf", "infinity", ""}


def brief(value: float) -> str:
    """Return a float with at most six digits; a whole one keeps its point."""
    text = f"{value:.6g}"
    return f"{text}.0" if text.lstrip("-").isdigit() else text


def label(value: Value) -> str:
    """Return the value of a parameter as JSON, without quotes if it can only be a string."""
    if isinstance(value, str):
        return value if _is_plain(value) else json.dumps(value, ensure_ascii=not value.isprintable())
    if isinstance(value, float):
        return brief(value)
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() not in _WORDS and text == text.strip() and text.isprintable() and '"' not in text
    return False
