"""Checks the licences of all packages that are delivered, against a list of allowed ones.

A package names its licence by an SPDX expression, or else by a classifier or a text, which are translated.
"""

import re
import sys
from importlib import metadata

from supply_chain.locks import RUNTIME_LOCK, read_lock, read_npm_packages

ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",  # applies to the files of the package, which are delivered unchanged
        "OFL-1.1",  # fonts
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    }
)
_TEXTS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT and ISC": "MIT AND ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_TOKEN = re.compile(r"\(|\)|[^\s()]+")


def is_allowed(expression: str) -> bool:
    """Returns whether an SPDX expression can be satisfied by allowed licences. Raises ValueError if it is invalid."""
    tokens = _TOKEN.findall(expression)
    result = _either(tokens)
    if tokens:
        raise ValueError(f"{expression!r} is not an SPDX expression")
    return result


def _either(tokens: list[str]) -> bool:
    result = _both(tokens)
    while tokens[:1] == ["OR"]:
        del tokens[0]
        other = _both(tokens)
        result = result or other
    return result


def _both(tokens: list[str]) -> bool:
    result = _single(tokens)
    while tokens[:1] == ["AND"]:
        del tokens[0]
        other = _single(tokens)
        result = result and other
    return result


def _single(tokens: list[str]) -> bool:
    if not tokens or tokens[0] in {"AND", "OR", ")"}:
        raise ValueError("an SPDX expression ends early")
    first = tokens.pop(0)
    if first != "(":
        return first in ALLOWED
    result = _either(tokens)
    if tokens[:1] != [")"]:
        raise ValueError("an SPDX expression has an open parenthesis")
    del tokens[0]
    return result


def read_licence(name: str) -> str:
    """Returns the licence of an installed package as an SPDX expression; empty if it names none."""
    described = metadata.metadata(name).json
    if expression := described.get("license_expression"):
        return str(expression)
    classifiers = [
        line.rsplit(" :: ", 1)[-1]
        for line in described.get("classifier") or ()
        if line.startswith("License ::")
    ]
    texts = classifiers or [line for line in str(described.get("license") or "").splitlines()[:1] if line]
    return " AND ".join(_TEXTS.get(text, text) for text in texts)


def find_refused() -> dict[str, str]:
    """Returns the packages whose licence is not allowed, or unknown, with the licence."""
    licences = {f"{name} {version}": read_licence(name) for name, version in read_lock(RUNTIME_LOCK).items()}
    licences |= {
        name: _TEXTS.get(licence or "", licence or "") for name, licence in read_npm_packages().items()
    }
    return {name: licence or "unknown" for name, licence in licences.items() if not _is_allowed(licence)}


def _is_allowed(licence: str) -> bool:
    try:
        return is_allowed(licence)
    except ValueError:
        return False


if __name__ == "__main__":
    refused = find_refused()
    for package, stated in sorted(refused.items()):
        print(f"{package}: {stated}")
    print(f"{len(refused)} packages with another licence than the allowed ones")
    sys.exit(bool(refused))
