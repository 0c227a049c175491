"""MBG/NBD: visits at a customer's own rate, and a chance to leave for good after each of them.

Rates of visits are gamma distributed over customers, chances to leave beta distributed. Batislam, Denizel and
Filiztekin (2007), "Empirical validation and comparison of models for customer base analysis".
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, psi

from journey_service.prediction.arrays import Floats

PRIOR_LOG_SD = 1.5
"""Standard deviation of the logarithm of each parameter before there are data."""
_LOG_BOUND = 12.0


@dataclass(frozen=True, slots=True)
class PurchaseParameters:
    """`rate_shape` and `rate_scale` (days) of the gamma, `leave_a` and `leave_b` of the beta distribution."""

    rate_shape: float
    rate_scale: float
    leave_a: float
    leave_b: float

    @property
    def logs(self) -> Floats:
        """The logarithms of the four parameters."""
        return np.log([self.rate_shape, self.rate_scale, self.leave_a, self.leave_b])


PRIOR = PurchaseParameters(1.0, 45.0, 1.0, 3.0)
"""Medians of the parameters before there are data."""


def leave_chance(parameters: PurchaseParameters, repeats: Floats) -> Floats:
    """Returns the chance of a customer to have left with the last visit, before the time since then is known."""
    return parameters.leave_a / (parameters.leave_a + parameters.leave_b + repeats)


def log_no_visit(
    parameters: PurchaseParameters, repeats: Floats, span: Floats, days_since_last: Floats
) -> Floats:
    """Returns the logarithm of the chance of no visit in the days since the last one, for arrays that broadcast.

    `repeats` is the number of visits after the first, `span` the days from the first to the last.
    """
    left = leave_chance(parameters, repeats)
    result: Floats = np.log(left + (1 - left) * np.exp(_log_idle(parameters, repeats, span, days_since_last)))
    return result


def still_customer(
    parameters: PurchaseParameters, repeats: Floats, span: Floats, days_since_last: Floats
) -> Floats:
    """Returns the chance that the customer has not left for good."""
    left = leave_chance(parameters, repeats)
    idle = (1 - left) * np.exp(_log_idle(parameters, repeats, span, days_since_last))
    return idle / (left + idle)


def fit(repeats: Floats, span: Floats, days_since_last: Floats) -> PurchaseParameters:
    """Returns the maximum a posteriori parameters for a sample of customers; the prior without any."""
    rows, counts = np.unique(np.stack([repeats, span, days_since_last]), axis=1, return_counts=True)
    if rows.shape[1] == 0:
        return PRIOR
    returned = repeats > 0
    scale = PRIOR.rate_scale
    if np.any(returned):
        scale = float(np.exp(np.mean(np.log(np.maximum(span[returned] / repeats[returned], 1)))))
    start = np.log([PRIOR.rate_shape, scale, PRIOR.leave_a, PRIOR.leave_b])
    found = minimize(
        _negative_posterior,
        start,
        args=(rows, counts.astype(np.float64)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-_LOG_BOUND, _LOG_BOUND)] * 4,
    )
    return PurchaseParameters(*(float(value) for value in np.exp(found.x)))


def _log_idle(
    parameters: PurchaseParameters, repeats: Floats, span: Floats, days_since_last: Floats
) -> Floats:
    base = parameters.rate_scale + span
    result: Floats = -(parameters.rate_shape + repeats) * np.log1p(days_since_last / base)
    return result


def _negative_posterior(logs: Floats, rows: Floats, counts: Floats) -> tuple[float, Floats]:
    """Returns the negative logarithm of the posterior and its gradient in the logarithms of the parameters."""
    likelihood, gradient = _log_likelihood(logs, rows, counts)
    deviation = (logs - PRIOR.logs) / PRIOR_LOG_SD
    return 0.5 * float(deviation @ deviation) - likelihood, deviation / PRIOR_LOG_SD - gradient


def _log_likelihood(logs: Floats, rows: Floats, counts: Floats) -> tuple[float, Floats]:
    x, span, since = rows
    r, alpha, a, b = np.exp(logs)
    total = a + b + x
    left = a / total
    idle = np.exp(-(r + x) * np.log1p(since / (alpha + span)))
    chance = left + (1 - left) * idle
    value = gammaln(r + x) - gammaln(r) + r * logs[1] - (r + x) * np.log(alpha + span) + np.log(chance)
    value += gammaln(b + x) - gammaln(b) + gammaln(a + b) - gammaln(total)
    by_idle, by_left = (1 - left) * idle / chance, (1 - idle) / chance
    slopes = (
        psi(r + x) - psi(r) + logs[1] - np.log(alpha + span) - by_idle * np.log1p(since / (alpha + span)),
        r / alpha
        - (r + x) / (alpha + span)
        + by_idle * (r + x) * (1 / (alpha + span) - 1 / (alpha + span + since)),
        psi(a + b) - psi(total) + by_left * (b + x) / total**2,
        psi(b + x) - psi(b) + psi(a + b) - psi(total) - by_left * a / total**2,
    )
    gradient = np.array([counts @ slope for slope in slopes]) * np.exp(logs)
    return float(counts @ value), gradient
