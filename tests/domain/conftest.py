"""How much chance the domain tests take: a failure prints what repeats it."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "domain",
    max_examples=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("domain")
