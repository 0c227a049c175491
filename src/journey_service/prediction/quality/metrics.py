"""Measures of predicted probabilities against what happened; all take arrays of one length."""

from dataclasses import dataclass

import numpy as np

from journey_service.prediction.arrays import Bools, Floats

MIN_PROBABILITY = 1e-4
BINS = 10
_NEWTON_STEPS = 25


@dataclass(frozen=True, slots=True)
class QuantileBin:
    """One of the bins with equally many customers: mean prediction and realised share."""

    customers: int
    predicted: float
    realised: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Measures of one set of predictions. ROC-AUC and slope are None where all customers have the same outcome."""

    customers: int
    share: float
    roc_auc: float | None
    log_loss: float
    calibration_error: float
    brier: float
    calibration_slope: float | None


def accuracy(predicted: Floats, happened: Bools) -> Accuracy:
    """Returns the measures of at least one prediction."""
    return Accuracy(
        len(predicted),
        float(np.mean(happened)),
        roc_auc(predicted, happened),
        log_loss(predicted, happened),
        calibration_error(predicted, happened),
        float(np.mean((predicted - happened) ** 2)),
        calibration_slope(predicted, happened),
    )


def roc_auc(predicted: Floats, happened: Bools) -> float | None:
    """Returns the area under the ROC curve, ties counted half; None if all outcomes are the same."""
    positive = int(np.count_nonzero(happened))
    negative = len(happened) - positive
    if not positive or not negative:
        return None
    _, value, count = np.unique(predicted, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2
    ranks = float(np.sum(mean_rank[value[happened]]))
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)


def log_loss(predicted: Floats, happened: Bools) -> float:
    """Returns the mean negative log likelihood; probabilities are clipped to MIN_PROBABILITY."""
    chance = np.clip(predicted, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return -float(np.mean(np.log(np.where(happened, chance, 1 - chance))))


def calibration_bins(predicted: Floats, happened: Bools, bins: int = BINS) -> tuple[QuantileBin, ...]:
    """Returns bins of equally many customers, by ascending prediction."""
    order = np.argsort(predicted, kind="stable")
    return tuple(
        QuantileBin(len(part), float(np.mean(predicted[part])), float(np.mean(happened[part])))
        for part in np.array_split(order, bins)
        if len(part)
    )


def calibration_error(predicted: Floats, happened: Bools) -> float:
    """Returns the mean absolute difference of prediction and realised share over the bins (ECE)."""
    bins = calibration_bins(predicted, happened)
    total = sum(part.customers * abs(part.predicted - part.realised) for part in bins)
    return total / len(predicted)


def calibration_slope(predicted: Floats, happened: Bools) -> float | None:
    """Returns the slope of a logistic regression of the outcome on the log odds of the prediction: 1 if calibrated."""
    if np.all(happened) or not np.any(happened):
        return None
    chance = np.clip(predicted, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    design = np.column_stack([np.ones(len(chance)), np.log(chance / (1 - chance))])
    beta = np.array([0.0, 1.0])
    for _ in range(_NEWTON_STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        curvature = (design.T * (fitted * (1 - fitted) + 1e-9)) @ design + 1e-9 * np.eye(2)
        beta = beta + np.clip(np.linalg.solve(curvature, design.T @ (happened - fitted)), -1, 1)
    return float(beta[1])
