"""The tIoU thresholds of the average mAP."""

import numpy as np

from lofi_jax.errors import UsageError

ACTIVITYNET = "0.5:0.05:0.95"
THUMOS = "0.3:0.1:0.7"


def of_dataset(name: str) -> str:
    """A dataset's usual thresholds: THUMOS14's, otherwise ActivityNet's, which HACS shares."""
    return THUMOS if name == "thumos14" else ACTIVITYNET


def parse(text: str, name: str) -> np.ndarray:
    """Thresholds (K,) from "first:step:last" or a single number.

    Args:
        text: such as "0.5:0.05:0.95".
        name: of the flag or key it comes from.

    Raises:
        UserError: not thresholds.
    """
    try:
        hundredths = _hundredths(text)
    except (ValueError, OverflowError, IndexError) as error:
        raise UsageError(
            f"{name}={text}: not first:step:last in hundredths above 0 and up to 1, with a last "
            f"that the steps reach, such as {ACTIVITYNET}"
        ) from error
    return np.linspace(hundredths[0] / 100, hundredths[-1] / 100, len(hundredths))


def _hundredths(text: str) -> range:
    """Thresholds in hundredths; some `ValueError`, `OverflowError` or `IndexError` where they are
    none.
    """
    exact = [100 * float(part) for part in (text.split(":") if ":" in text else (text, 1, text))]
    low, step, high = map(round, exact)
    hundredths = range(low, high + 1, step)
    exactly = np.allclose(exact, [low, step, high])
    if not (exactly and hundredths[-1] == high and 0 < low <= high <= 100):
        raise ValueError(text)
    return hundredths
