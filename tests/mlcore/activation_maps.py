"""Published definitions of activation maps, to compare the networks' maps with."""

from typing import Any

import numpy.typing as npt


def class_activation_map(
    features: npt.NDArray[Any], weights: npt.NDArray[Any], bias: float
) -> npt.NDArray[Any]:
    """Return the class-activation map of a network with global average pooling (Zhou 2016).

    Args:
        features: (h, w, c) features of the last stage.
        weights: (c,) weights of the final dense layer.
        bias: bias of the final dense layer.

    Returns:
        (h, w) local log-odds; their mean is the log-odds of the film.
    """
    return features @ weights + bias


def grad_cam(features: npt.NDArray[Any], gradient: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return Grad-CAM without its rectifier (Selvaraju 2017), proportional to the map above.

    Args:
        features: (h, w, c) features of the last stage.
        gradient: (h, w, c) gradient of the film's log-odds with respect to `features`.

    Returns:
        (h, w) sum of `features` weighted by the mean gradient of each channel.
    """
    return features @ gradient.mean(axis=(0, 1))
