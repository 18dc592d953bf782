"""How a probability, the limits of the rule of decision and the rule itself are shown."""

from django.utils.translation import gettext

MIN_PLACES, MAX_PLACES = 3, 9


def shown_probability(probability: float, *limits: float) -> str:
    """Format a probability so that its digits never contradict the result.

    Three decimals, or as many more as it takes for the rounded probability to be on the same side
    of every rounded limit: 0.95096 below a limit of 0.95102 must not read "0.951". No network is
    certain, so the extremes read "< 0.001" and "> 0.999".

    Args:
        probability: from 0 to 1.
        limits: the limits of the rule.
    """
    if probability >= 0.9995 and all(limit <= 0.9995 or limit > 1 for limit in limits):
        return "> 0.999"
    if probability < 0.0005 and all(limit >= 0.0005 or limit <= 0 for limit in limits):
        return "< 0.001"
    return f"{probability:.{_places(probability, limits)}f}"


def shown_limits(probability: float, *limits: float) -> tuple[str, ...]:
    """Format the limits with as many decimals as `shown_probability` takes."""
    places = _places(probability, limits)
    return tuple(f"{min(1.0, max(0.0, limit)):.{places}f}" for limit in limits)


def _places(probability: float, limits: tuple[float, ...]) -> int:
    for places in range(MIN_PLACES, MAX_PLACES):
        rounded = round(probability, places)
        if all(
            (rounded >= round(limit, places)) == (probability >= limit)
            for limit in limits
            if 0 < limit <= 1
        ):
            return places
    return MAX_PLACES


def rule_sentence(lower: float, upper: float, *, texts: tuple[str, ...] = ()) -> str:
    """Return the rule of decision as a sentence.

    Args:
        lower: probability below which the result is normal; at 0 or less, none is.
        upper: probability from which the result is pneumonia; above 1, none is.
        texts: the limits as they are to be shown; three decimals by default.
    """
    shown = texts or (f"{lower:.3f}", f"{min(1.0, upper):.3f}")
    values = {"lower": shown[0], "upper": shown[1]}
    if lower <= 0 and upper > 1:
        return gettext("This model leaves every X-ray inconclusive.")
    if lower <= 0:
        return gettext("%(upper)s or above: pneumonia. Below: inconclusive.") % values
    if upper > 1:
        return gettext("Below %(lower)s: normal. Otherwise: inconclusive.") % values
    if lower == upper:
        return gettext("Below %(lower)s: normal. %(upper)s or above: pneumonia.") % values
    return (
        gettext("Below %(lower)s: normal. %(upper)s or above: pneumonia. Between: inconclusive.")
        % values
    )
