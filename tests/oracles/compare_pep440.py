"""The order of Python versions by `packaging`.

Reads lines `a<TAB>b`; writes one line for each: `<`, `=`, `>`, or `!` where a version does not parse.
"""

import sys

from packaging.version import InvalidVersion, Version


def sign(line: str) -> str:
    left, right = line.split("\t")
    try:
        a, b = Version(left), Version(right)
    except InvalidVersion:
        return "!"
    return "<" if a < b else ">" if a > b else "="


for text in sys.stdin.buffer.read().decode().removesuffix("\n").split("\n"):
    print(sign(text))
