"""Number of examples of property tests: a quarter by default, many with JOURNEY_FULL=1.

A failure prints what reproduces it.
"""

import os

from hypothesis import HealthCheck, settings

QUICK, THOROUGH = "quick", "thorough"
TIMES_AS_MANY = 10
"""Examples of the thorough profile for each usual one."""


def active() -> str:
    """Returns the name of the profile of this run."""
    return THOROUGH if os.environ.get("JOURNEY_FULL") == "1" else QUICK


def examples(usual: int) -> int:
    """Return the number of examples of a test: a quarter of `usual` in a quick run, many more in a thorough one."""
    return usual * TIMES_AS_MANY if active() == THOROUGH else max(1, usual // 4)


SHARED_OUT = 4
"""In a quick run, each operation of the contract gets one of so many cases, and the next operation the next one."""


def is_shared_out(operation: int, case: int) -> bool:
    """Return whether the operation at a position of the contract gets a case; in a thorough run, all get all."""
    return active() == THOROUGH or (operation + case) % SHARED_OUT == 0


def load_profile() -> str:
    """Make the profile of this run the default of all property tests; returns its name."""
    for name, number in ((QUICK, 20), (THOROUGH, 60 * TIMES_AS_MANY)):
        settings.register_profile(
            name,
            max_examples=number,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
    settings.load_profile(active())
    return active()
