"""A program that searches its standard input with a pattern: matching.py PATTERN; it prints the groups as JSON.

It imports little, because it is started for each trial that has a pattern, and ended when it takes too long.
"""

import json
import re
import sys

LONGEST_LINE = 65_536
MOST_MATCHES = 100_000


def matches(pattern: str, text: str) -> list[dict[str, str]]:
    """Return the groups of each match in a text, line by line: the first matches and the very last ones."""
    compiled = re.compile(pattern)
    only = {} if "value" in compiled.groupindex else {"value": 1}
    groups = {**compiled.groupindex, **only}
    found = [
        {name: match[group] for name, group in groups.items() if match[group] is not None}
        for line in re.split(r"[\r\n]+", text)
        for match in compiled.finditer(line[:LONGEST_LINE])
    ]
    half = MOST_MATCHES // 2
    return found if len(found) <= MOST_MATCHES else found[:half] + found[-half:]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(matches(sys.argv[1], sys.stdin.buffer.read().decode(errors="replace"))))
