"""The charts of a model card show the figures of the bundle's files, in the reader's language."""

import re
from pathlib import Path

import pytest
from django.test import Client

from mlcore.cards import charts
from mlcore.engine.evaluation import curves
from mlcore.models import ModelVersion
from tests.mlcore.model_cards import early_card, full_card, predictions, write_bundle

pytestmark = pytest.mark.django_db

HISTORY = (
    b"member,epoch,loss,accuracy,auc,val_loss,val_accuracy,val_auc,seconds,waited\n"
    b"1,1,0.6,0.6,0.70,0.8,0.5,0.60,1,0\n1,2,0.4,0.8,0.80,0.5,0.7,0.85,1,0\n"
    b"2,1,0.8,0.6,0.72,0.6,0.5,0.70,1,0\n"
)


@pytest.fixture
def measured(active_model, tmp_path) -> ModelVersion:
    """A registered model whose bundle has predictions and a history."""
    return write_bundle(tmp_path, full_card(), predictions_csv=predictions(), history_csv=HISTORY)


def rows_of(page: str, chart: str) -> list[list[str]]:
    """Return the cells of the table below a chart."""
    figure = page[page.index(f'id="chart-{chart}"') :].split("</figure>")[0]
    body = figure[figure.index("<tbody>") :]
    return [
        re.findall(r'class="num">([^<]*)<', row)
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.S)
    ]


def test_every_chart_has_its_data_as_a_table(measured, as_doctor):
    page = as_doctor.get(f"/models/{measured.name}/").content.decode()
    counts = [(int(sick), int(well)) for _range, sick, well in rows_of(page, "histogram")]
    assert len(counts) == 20
    assert tuple(map(sum, zip(*counts, strict=True))) == (80, 40)
    assert sum(int(row[-1]) for row in rows_of(page, "reliability")) == 120
    thresholds = [float(row[0]) for row in rows_of(page, "roc")]
    assert thresholds == sorted(thresholds, reverse=True)
    # The mean over the two members; the second stopped after one epoch.
    assert rows_of(page, "training-loss") == [["1", "0.7000", "0.7000"], ["2", "0.4000", "0.5000"]]
    assert not re.search(r"<img[^>]*\.png", page)
    assert "Of 1,000" in page
    for name in re.findall(
        r'<svg viewBox="0 0 340 252"\s+role="img"\s+aria-labelledby="([^"]*)"', page
    ):
        for part in name.split():
            assert f'id="{part}"' in page


def test_charts_are_in_the_readers_language(measured, doctor, monkeypatch):
    monkeypatch.setattr(charts, "_", lambda _text: "譯")
    monkeypatch.setattr(charts, "pgettext", lambda _context, _text: "譯")
    client = Client(headers={"accept-language": "zh-hant"})
    client.force_login(doctor)
    page = client.get(f"/models/{measured.name}/").content.decode()
    figures = re.findall(r'<figure class="chart".*?</figure>', page, re.S)
    assert len(figures) == 5
    for figure in figures:
        text = re.sub(r"<[^>]*>", " ", figure)
        assert set(re.findall("[A-Za-z]{2,}", text)) <= {"AUC", "ROC"}


def test_what_pneumonia_is_called_is_drawn_and_said(active_model, as_doctor):
    page = as_doctor.get(f"/models/{active_model.name}/").content.decode()
    bars = re.findall(r'class="outcome-bar".*?aria-label="([^"]*)"(.*?)</svg>', page, re.S)
    assert bars[0][0] == ("X-rays with pneumonia: Pneumonia 91.6%, Inconclusive 5.9%, Normal 2.6%")
    widths = [float(width) for width in re.findall(r'width="([\d.]+)"', bars[0][1])]
    assert sum(widths) == pytest.approx(1000, abs=0.2)


def test_an_altered_file_draws_no_chart(measured, as_doctor):
    Path(measured.folder, "predictions.csv").write_bytes(predictions(0.9))
    page = as_doctor.get(f"/models/{measured.name}/").content.decode()
    assert 'id="chart-roc"' not in page
    assert 'id="chart-histogram"' not in page
    assert 'id="chart-training-loss"' in page


def test_a_bundle_with_its_own_images_alone_shows_them(as_doctor, tmp_path):
    early = write_bundle(tmp_path, early_card(), history_csv=b"member,epoch\n1,1\n")
    page = as_doctor.get(f"/models/{early.name}/").content.decode()
    assert charts.charts(early) == {}
    assert "card-plot" in page


def test_curves_need_both_labels_and_valid_files():
    only_sick = b"\n".join(
        line for line in predictions().splitlines() if b"NORMAL" not in line or b"split" in line
    )
    assert curves.of_predictions(only_sick) is None
    with pytest.raises(ValueError, match="columns"):
        curves.of_predictions(b"no,header\n")
    with pytest.raises(ValueError, match="history"):
        curves.of_history(b"member,epoch\n1,1\n")
