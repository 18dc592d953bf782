"""Films at their stored depth: the decoder's values, the file's windows, the size of pixels."""

import gzip
import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from mlcore.engine.films.film import read_film, read_plane
from mlcore.engine.films.packed import pack
from mlcore.engine.films.plane import Spacing
from tests.films import ENCODERS, edited_dicom, encode, encode_dicom, synthetic_film

FILM = synthetic_film("NORMAL", seed=3, size=120)
WINDOWS: list[dict[str, Any]] = [
    {},
    {"window": (1500, 1800), "rescale": (2, -50)},
    {"window": (1500, 1800), "rescale": (-2, 9000)},
    {"window": (1000, 900), "VOILUTFunction": "SIGMOID"},
    {"PixelPaddingValue": 0},
    {"PixelRepresentation": 1},
]


def unpacked(data: bytes) -> tuple[dict[str, Any], list[npt.NDArray[Any]], npt.NDArray[Any]]:
    """Return header, tables and values, by the description in `films.packed`."""
    content = gzip.decompress(data)
    length = int.from_bytes(content[:4], "little")
    header, at = json.loads(content[4 : 4 + length]), 4 + length
    tables = []
    for tone in header["tones"]:
        if tone["table"]:
            tables.append(np.frombuffer(content, np.uint8, header["levels"], at))
            at += header["levels"]
    planes = np.frombuffer(content, np.uint8, offset=at).astype(np.int64)
    if header["bytes"] == 2:
        high, low = np.split(planes, 2)
        planes = high * 256 + low
    folded = planes.reshape(header["height"], header["width"])
    differences = (folded >> 1) ^ -(folded & 1)
    first = np.cumsum(differences[:, :1], axis=0)
    values = np.cumsum(np.hstack([first, differences[:, 1:]]), axis=1)
    return header, tables, values % 256 ** header["bytes"]


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_every_format_has_the_pixels_of_the_film(name):
    data = encode(FILM, name)
    plane = read_plane(data)
    assert np.array_equal(plane.shown, read_film(data).pixels)
    assert np.array_equal(unpacked(pack(plane))[2], plane.values)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_values_and_default_window_are_those_of_the_decoder(photometric, bits, options):
    data = encode_dicom(FILM, photometric=photometric, bits=bits, **options)
    plane = read_plane(data)
    assert np.array_equal(plane.shown, read_film(data).pixels)
    header, tables, values = unpacked(pack(plane))
    assert (header["bits"], header["bytes"]) == (bits, 1 if bits == 8 else 2)
    dataset = pydicom.dcmread(io.BytesIO(data))
    units = dataset.pixel_array.astype(float) * dataset.get("RescaleSlope", 1)
    units += dataset.get("RescaleIntercept", 0)
    assert np.array_equal(values * header["slope"] + header["intercept"], units), "nothing is lost"
    whiter = np.argsort(read_film(data).pixels, axis=None, kind="stable")
    if not options:
        assert values.ravel()[whiter[0]] <= values.ravel()[whiter[-1]], "higher is whiter"
    assert np.array_equal(tables[0][values], read_film(data).pixels), "the first tone"
    tone = header["tones"][0]
    if "VOILUTFunction" not in options and header["padding"] is None:
        line = np.clip((values - tone["low"]) / (tone["high"] - tone["low"]) * 255, 0, 255)
        assert np.abs(line - read_film(data).pixels).max() <= 1


def test_windows_are_listed_by_their_names_in_values():
    data = encode_dicom(
        FILM, photometric="MONOCHROME1", bits=12, WindowCenter=[2000, 1000],
        WindowWidth=[3001, 501], WindowCenterWidthExplanation=["NORMAL", "HARDER"],
    )  # fmt: skip
    _default, normal, harder = read_plane(data).tones
    assert (normal.name, harder.name) == ("NORMAL", "HARDER")
    # MONOCHROME1: the highest unit of the window is black.
    assert (harder.low, harder.high) == (4095 - 1249.5, 4095 - 749.5)


def test_a_table_is_applied_as_it_is():
    def add_table(dataset: Dataset) -> None:
        item = Dataset()
        item.LUTDescriptor = [4096, 0, 8]
        item.LUTExplanation = "CURVE"
        curve = np.rint(255 * (np.arange(4096) / 4095) ** 2).astype(np.uint8)
        item.add_new("LUTData", "OW", curve.astype("<u2").tobytes())
        dataset.VOILUTSequence = [item]

    data = edited_dicom(FILM, add_table, bits=12)
    plane = read_plane(data)
    assert np.array_equal(plane.shown, read_film(data).pixels)
    assert plane.tones[1].name == "CURVE"
    assert plane.tones[1].table is not None


def test_padding_stays_black_and_is_named():
    plane = read_plane(encode_dicom(FILM, photometric="MONOCHROME1", bits=12, PixelPaddingValue=0))
    assert plane.padding == (4095, 4095)
    assert plane.tones[0].table is not None
    assert plane.tones[0].table[4095] == 0


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({}, None),
        ({"PixelSpacing": [0.2, 0.1]}, Spacing(0.2, 0.1, "patient")),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, Spacing(0.2, 0.1, "detector")),
        (
            {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]},
            Spacing(0.2, 0.2, "detector"),
        ),
        (
            {"PixelSpacing": [0.18, 0.18], "ImagerPixelSpacing": [0.2, 0.2]},
            Spacing(0.18, 0.18, "patient"),
        ),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, Spacing(0.1, 0.1, "scanner")),
        ({"PixelSpacing": [0, 0.1]}, None),
    ],
)
def test_the_size_of_pixels_and_where_it_was_measured(elements, spacing):
    assert read_plane(encode_dicom(FILM, bits=12, **elements)).spacing == spacing


def test_values_beyond_16_bits_are_rounded_and_say_so():
    buffer = io.BytesIO()
    Image.fromarray(FILM.astype(np.float32) / 7).save(buffer, "TIFF")
    plane = read_plane(buffer.getvalue())
    assert not plane.is_exact
    restored = plane.values * plane.slope + plane.intercept
    assert np.abs(restored - FILM / 7).max() < 0.001
    shown = np.abs(plane.shown.astype(int) - read_film(buffer.getvalue()).pixels)
    assert shown.max() <= 1
