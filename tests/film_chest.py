"""The anatomy of a phantom chest, as planes of X-ray attenuation.

Lengths are fractions of the film's side; attenuations are relative. Use it through
:func:`tests.films.draw_film`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Plane = npt.NDArray[np.float32]

SPINE_X = 0.5


@dataclass(frozen=True)
class Patient:
    """Parameters that vary between children and exposures; lengths are fractions of the side."""

    seed: int
    tilt: float
    zoom: float
    shift: tuple[float, float]
    inspiration: float
    heart: float
    lung_width: float
    rib_spacing: float
    rib_phase: float
    exposure: float
    contrast: float
    grain: float
    marker: bool

    @classmethod
    def draw(cls, seed: int) -> Patient:
        rng = np.random.default_rng([seed, 0])
        return cls(
            seed=seed,
            tilt=float(rng.normal(0, 0.025)),
            zoom=float(rng.uniform(0.94, 1.05)),
            shift=(float(rng.normal(0, 0.012)), float(rng.normal(0, 0.012))),
            inspiration=float(rng.uniform(-0.03, 0.03)),
            heart=float(rng.uniform(0.92, 1.12)),
            lung_width=float(rng.uniform(0.94, 1.05)),
            rib_spacing=float(rng.uniform(0.078, 0.090)),
            rib_phase=float(rng.uniform(0, 1)),
            exposure=float(rng.uniform(0.90, 1.10)),
            contrast=float(rng.uniform(0.90, 1.12)),
            grain=float(rng.uniform(0.5, 1.0)),
            marker=bool(rng.random() < 0.5),
        )


class Chest:
    """One patient's anatomy sampled on a size x size grid; planes are float32 attenuations."""

    def __init__(self, patient: Patient, size: int) -> None:
        self.patient = patient
        self.size = size
        axis = np.asarray((np.arange(size) + 0.5) / size, np.float32)
        column, row = np.meshgrid(axis, axis)
        self.x, self.y = _posed(column, row, patient)
        # Film left is the patient's right.
        self.side = np.sign(self.x - SPINE_X)
        self.off = np.abs(self.x - SPINE_X)
        self.lungs = self._lungs()
        self.heart = self._heart()
        self.air = self.lungs * (1 - 0.80 * self.heart)

    def cage_half_width(self) -> Plane:
        """Half the inner width of the rib cage at each row."""
        dome = np.clip((self.y - 0.10) / 0.60, 0, 1)
        return self.patient.lung_width * (0.405 * np.sqrt(1 - (1 - dome) ** 2.6))

    def diaphragm(self) -> Plane:
        """Row of the diaphragm at each column: two domes, the patient's right one higher."""
        base = 0.80 + self.patient.inspiration - 0.022 * (self.side < 0)
        reach = (self.off - 0.19) / 0.24
        return base + 0.10 * np.clip(reach, -0.9, 1.3) ** 2

    def _lungs(self) -> Plane:
        """Fraction of the maximum depth of air, 0 to 1, without heart and mediastinum."""
        width = np.maximum(self.cage_half_width(), 1e-3)
        across = np.clip((self.off - 0.055) / np.maximum(width - 0.055, 1e-3), 0, 1.2)
        depth = np.clip(1 - (2 * np.abs(across - 0.46)) ** 3.0 * 0.80, 0, 1)
        depth *= edge(width - self.off, 0.007) * edge(self.off - 0.045, 0.012)
        depth *= edge(self.diaphragm() - self.y, 0.006) * edge(self.y - 0.115, 0.012)
        # Lungs thin out towards the apices.
        return depth * (0.62 + 0.38 * np.clip((self.y - 0.11) / 0.25, 0, 1))

    def soft_tissue(self) -> Plane:
        """Trunk, neck, arms, heart, great vessels and abdomen, minus the air in the lungs."""
        trunk = self._trunk()
        under = edge(self.y - self.diaphragm(), 0.02)
        abdomen = under * edge(self.cage_half_width() + 0.03 - self.off, 0.03)
        gas = ellipse(self.x, self.y, 0.655, 0.925, 0.075, 0.040, 0.02)
        mediastinum = np.exp(-((self.off / 0.060) ** 4)) * edge(self.y - 0.02, 0.05)
        texture = cloud([self.patient.seed, 1], self.size, 10)
        tissue: Plane = (
            trunk * (1.0 + 0.035 * texture)
            + 0.20 * self.heart * trunk
            + 0.13 * abdomen * (1 + 0.15 * texture) * trunk
            - 0.20 * gas
            + 0.12 * mediastinum * trunk
            - 0.12 * self._airway()
            - 0.54 * self.air
        )
        return tissue

    def _trunk(self) -> Plane:
        """Soft tissue in the beam; none beside the neck, or between arm and trunk."""
        slope = np.clip((self.y - 0.005) / 0.185, 0, 1)
        half = 0.115 + 0.335 * slope**1.25 + 0.02 * np.clip((self.y - 0.5) / 0.5, 0, 1)
        depth = np.clip(1 - (self.off / np.maximum(half, 1e-3)) ** 4, 0, 1) ** 0.55
        trunk = (0.34 + 0.38 * depth) * edge(half - self.off, 0.006)
        across = (self.off - self._arm_axis()) / 0.085
        arm = 0.60 * np.clip(1 - across**2, 0, 1) ** 0.5
        arm *= edge(self.y - 0.258, 0.010)
        shoulder = 0.60 * ellipse(self.off, self.y, 0.412, 0.258, 0.102, 0.104, 0.014)
        return np.maximum(trunk, np.maximum(arm, shoulder))

    def _arm_axis(self) -> Plane:
        """Distance of the upper arm's axis from the spine; it increases downwards."""
        return 0.428 + 0.22 * np.clip(self.y - 0.20, 0, 1)

    def _heart(self) -> Plane:
        """Fraction of the lung's depth taken up by heart and great vessels, 0 to 1."""
        grow = self.patient.heart
        lift = self.patient.inspiration * 0.7
        left = ellipse(self.x, self.y, 0.565, 0.680 + lift, 0.190 * grow, 0.135 * grow, 0.010, 0.60)
        right = ellipse(self.x, self.y, 0.485, 0.660 + lift, 0.090 * grow, 0.135, 0.010)
        arch = ellipse(self.x, self.y, 0.535, 0.335, 0.046, 0.045, 0.010)
        trunk = ellipse(self.x, self.y, 0.545, 0.460, 0.055, 0.110, 0.014, 0.15)
        cava = ellipse(self.x, self.y, 0.468, 0.370, 0.030, 0.200, 0.012)
        return 1 - (1 - left) * (1 - right) * (1 - arch) * (1 - trunk) * (1 - cava)

    def _airway(self) -> Plane:
        """The dark column of the trachea and its two main bronchi."""
        bend = SPINE_X - 0.006 - 0.010 * np.clip(self.y / 0.4, 0, 1)
        trachea = np.exp(-((((self.x - bend) / 0.017) ** 2) ** 2)) * edge(0.40 - self.y, 0.02)
        main = np.exp(-(((self.y - 0.39 - 0.75 * self.off) / 0.016) ** 2))
        return np.maximum(trachea, 0.7 * main * edge(0.085 - self.off, 0.02))

    def bones(self) -> Plane:
        """Spine, ribs, clavicles, shoulder blades and upper arms."""
        return self._spine() + self._ribs() + self._shoulder()

    def _spine(self) -> Plane:
        body = np.exp(-((self.off / 0.038) ** 6))
        level = (self.y / 0.062 + self.patient.rib_phase) % 1.0
        disc = np.exp(-(((level - 0.5) / 0.11) ** 2))
        pedicle = np.exp(-((np.hypot((self.off - 0.024) / 0.009, (level - 0.1) / 0.16)) ** 2))
        return np.asarray(0.15 * body * (1 - 0.50 * disc) + 0.06 * pedicle, np.float32)

    def _ribs(self) -> Plane:
        """Posterior ribs arch out and down from the spine; anterior ones come back inwards."""
        width = np.maximum(self.cage_half_width() + 0.008, 1e-3)
        reach = np.clip(self.off / width, 0, 1)
        wobble = 0.004 * cloud([self.patient.seed, 4], self.size, 6)
        drop = 0.075 * reach**2 + 0.10 * reach**9 - 0.020 * reach
        back = self._rib_bands(self.y - drop + wobble, 0.40)
        front = self._rib_bands(self.y - 0.155 - 0.19 * (1 - reach) ** 1.2 + wobble, 0.46)
        inside = edge(width - self.off, 0.004)
        back *= inside * edge(self.off - 0.030, 0.008)
        front *= inside * edge(reach - 0.40, 0.06)
        span = edge(self.y - 0.115 - 0.02 * self.off, 0.008) * edge(0.90 - self.y, 0.05)
        # Seen tangentially at the rim of the cage, bone is thicker.
        rim = 1 + 0.9 * np.clip((reach - 0.86) / 0.14, 0, 1) ** 2
        return np.asarray(span * rim * (0.125 * back + 0.085 * front), np.float32)

    def _rib_bands(self, along: Plane, share: float) -> Plane:
        """Bands one rib spacing apart, brighter at their cortex; share is bone to spacing."""
        phase = (along / self.patient.rib_spacing + self.patient.rib_phase) % 1.0 - 0.5
        across = np.abs(phase) / (share / 2)
        shaft = edge(1 - across, 0.10)
        return shaft * (0.62 + 0.38 * np.exp(-(((across - 0.78) / 0.20) ** 2)))

    def _shoulder(self) -> Plane:
        s = np.clip((self.off - 0.035) / 0.31, 0, 1)
        middle = 0.205 - 0.055 * s + 0.014 * np.sin(2 * np.pi * s)
        across = np.abs(self.y - middle) / (0.0135 + 0.006 * (2 * s - 1) ** 2)
        collar = edge(1 - across, 0.10) * (0.65 + 0.35 * np.exp(-(((across - 0.8) / 0.2) ** 2)))
        collar *= edge(self.off - 0.035, 0.006) * edge(0.345 - self.off, 0.008)
        blade = ellipse(self.off, self.y, 0.375, 0.300, 0.050, 0.115, 0.010, 0.22)
        spur = np.exp(-(((self.off - 0.345 - 0.12 * (self.y - 0.3)) / 0.006) ** 2))
        spur *= edge(self.y - 0.20, 0.01) * edge(0.40 - self.y, 0.01)
        across = np.abs(self.off - self._arm_axis()) / 0.025
        arm = edge(1 - across, 0.08) * (0.6 + 0.4 * np.exp(-(((across - 0.8) / 0.22) ** 2)))
        arm *= edge(self.y - 0.240, 0.012)
        head = ellipse(self.off, self.y, 0.418, 0.238, 0.040, 0.042, 0.008)
        arm = np.maximum(arm, 0.85 * head)
        return np.asarray(0.15 * collar + 0.055 * blade + 0.05 * spur + 0.19 * arm, np.float32)

    def vessels(self) -> Plane:
        """The hila and the vessels that branch from them, thinning outwards."""
        tree = _vessel_tree(self.patient, self.size)
        hilum = ellipse(self.off, self.y, 0.085, 0.46, 0.028, 0.060, 0.03)
        inside = np.clip(self.lungs * 1.5, 0, 1) * (1 - 0.7 * self.heart)
        return np.asarray(inside * (0.15 * tree + 0.09 * hilum), np.float32)


def _vessel_tree(patient: Patient, size: int) -> Plane:
    """Branching lines from both hila as a plane of 0 to about 1."""
    rng = np.random.default_rng([patient.seed, 5])
    widths = (0.0060, 0.0034, 0.0018)
    sheets = [(width, Image.new("L", (2 * size, 2 * size))) for width in widths]
    pens = [ImageDraw.Draw(sheet) for _, sheet in sheets]

    def grow(x: float, y: float, angle: float, length: float, order: int) -> None:
        bend = rng.normal(0, 0.07)
        for part in range(8):
            angle += bend + rng.normal(0, 0.05)
            end = (x + length / 8 * np.cos(angle), y + length / 8 * np.sin(angle))
            weight = max(1, round(2 * size * sheets[order][0] * (1.15 - 0.08 * part)))
            ends = [2 * size * c for c in (x, y, *end)]
            pens[order].line(ends, fill=255 - 18 * part - 30 * order, width=weight)
            x, y = end
            if order < 2 and part > 0 and rng.random() < 0.38:
                turn = rng.choice((-1, 1)) * rng.uniform(0.35, 0.8)
                grow(x, y, angle + turn, length * rng.uniform(0.40, 0.70), order + 1)

    for side in (-1, 1):
        for bearing in np.linspace(-1.25, 1.35, 7) + rng.normal(0, 0.08, 7):
            angle = bearing if side > 0 else np.pi - bearing
            y = 0.45 + 0.05 * np.sin(bearing)
            grow(SPINE_X + side * 0.080, y, angle, rng.uniform(0.15, 0.25), 0)
    tree = np.zeros((size, size), np.float32)
    for (half_width, sheet), strength in zip(sheets, (1.0, 0.8, 0.55), strict=True):
        soft = sheet.filter(ImageFilter.GaussianBlur(max(1.0, 2 * size * half_width * 0.55)))
        small = soft.resize((size, size), Image.Resampling.BOX)
        tree += strength * np.asarray(small, np.float32) / 255
    return tree


def _posed(column: Plane, row: Plane, patient: Patient) -> tuple[Plane, Plane]:
    """Body coordinates of each film point, for a child slightly rotated and off centre."""
    dx, dy = column - 0.5 - patient.shift[0], row - 0.5 - patient.shift[1]
    cos, sin = math.cos(patient.tilt), math.sin(patient.tilt)
    x = (cos * dx - sin * dy) / patient.zoom + 0.5
    y = (sin * dx + cos * dy) / patient.zoom + 0.5
    return x.astype(np.float32), y.astype(np.float32)


def edge(distance: Plane, softness: float) -> Plane:
    """0 outside, 1 inside, a soft step where the signed distance crosses zero."""
    return np.asarray(0.5 + 0.5 * np.tanh(distance / softness), np.float32)


def ellipse(
    x: Plane, y: Plane, cx: float, cy: float, rx: float, ry: float, soft: float, turn: float = 0.0
) -> Plane:
    """A filled ellipse of 1 with a soft rim (`soft` in film sides), rotated by `turn` radians."""
    cos, sin = math.cos(turn), math.sin(turn)
    dx, dy = x - cx, y - cy
    along, across = (cos * dx + sin * dy) / rx, (cos * dy - sin * dx) / ry
    inside = 1 - np.sqrt(along * along + across * across)
    return edge(np.asarray(inside * min(rx, ry), np.float32), soft)


def cloud(seed: int | list[int] | np.random.Generator, size: int, cells: int) -> Plane:
    """Smooth noise with mean 0, standard deviation about 1 and `cells` blobs per side."""
    grid = np.random.default_rng(seed).normal(0, 1.5, (cells, cells)).astype(np.float32)
    smooth = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32)
