"""A program that searches its standard input with a pattern: matching.py SECONDS PATTERN; it prints the groups as JSON.

It imports little, because it is started for each trial with a pattern. SIGPROF ends it when the search exceeds its
seconds of processor time, which a busy machine does not shorten.
"""

import json
import re
import signal
import sys

LONGEST_LINE = 65_536
AROUND = 40

Group = tuple[str, str, str]
"""
The text before a group, its match, and the text after it. The context is there only if the match begins or ends with
the group: what the pattern itself matches beside the group is not looked at."""


def matches(pattern: str, text: str) -> list[dict[str, Group]]:
    """Return the groups of each match in a text, line by line."""
    compiled = re.compile(pattern)
    only = {} if "value" in compiled.groupindex else {"value": 1}
    groups = {**compiled.groupindex, **only}
    return [
        {name: _group(match, group) for name, group in groups.items() if match[group] is not None}
        for line in re.split(r"[\r\n]+", text)
        for match in compiled.finditer(line[:LONGEST_LINE])
    ]


def _group(match: re.Match[str], group: int) -> Group:
    start, end = match.span(group)
    before = match.string[max(start - AROUND, 0) : start] if start == match.start() else ""
    return before, match[group], match.string[end : end + AROUND] if end == match.end() else ""


if __name__ == "__main__":
    printed = sys.stdin.buffer.read().decode(errors="replace")
    # Nothing stops Python's regular expressions in the middle of a line but the end of their process.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1]))
    sys.stdout.write(json.dumps(matches(sys.argv[2], printed)))
