"""Scales keep their order for everybody: lightness alone tells, and ends stay apart."""

import numpy as np
import pytest

from app.theme import DARK, LIGHT, Palette

PALETTES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SIGHT = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
SIGHTS = pytest.mark.parametrize("sight", SIGHT)
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = _XYZ.sum(1)


def linear(color: str) -> np.ndarray:
    """Linear RGB of `#rrggbb`."""
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(color: str, sight: str = "usual") -> np.ndarray:
    """CIE L*a*b* of a colour as somebody of that sight sees it."""
    seen = np.clip(SIGHT[sight] @ linear(color), 0, 1)
    t = _XYZ @ seen / _WHITE
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2."""
    low, high = sorted(float(linear(color) @ _XYZ[1]) + 0.05 for color in (one, other))
    return high / low


def test_colours_are_measured_as_defined() -> None:
    np.testing.assert_allclose(lab("#ffffff"), [100, 0, 0], atol=0.02)
    np.testing.assert_allclose(lab("#ff0000"), [53.24, 80.09, 67.20], atol=0.1)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    # Red and green of one lightness: far apart for most, close for some.
    red, green = "#d03030", "#3c8a3c"
    assert np.linalg.norm(lab(red) - lab(green)) > 80
    assert np.linalg.norm(lab(red, "deuteranopia") - lab(green, "deuteranopia")) < 40


@PALETTES
@SIGHTS
def test_the_sequential_scale_grows_in_lightness_step_by_step(palette: Palette, sight: str) -> None:
    lightness = np.array([lab(color, sight)[0] for color in palette.sequential])
    steps = np.diff(lightness) * (1 if palette.dark else -1)
    assert (steps > 5).all()


@PALETTES
@SIGHTS
def test_each_side_of_the_diverging_scale_is_ordered_and_both_are_told_apart(
    palette: Palette, sight: str
) -> None:
    colors = [lab(color, sight) for color in palette.diverging]
    lightness = np.array([color[0] for color in colors]) * (1 if palette.dark else -1)
    middle = len(colors) // 2
    assert (np.diff(lightness[: middle + 1]) < -5).all()
    assert (np.diff(lightness[middle:]) > 5).all()
    for i in range(middle):
        # 2 is just noticeable side by side.
        assert np.linalg.norm(colors[i] - colors[-1 - i]) > 25


@PALETTES
def test_text_can_be_read(palette: Palette) -> None:
    """4.5 for text and 3 for what is drawn: WCAG 2, level AA."""
    assert contrast(palette.text, palette.background) > 7
    assert contrast(palette.muted, palette.background) > 4.5
    assert contrast(palette.accent, palette.background) > 3
    assert contrast(palette.text, palette.right) > 4.5
