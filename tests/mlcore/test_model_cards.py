"""The page of a model card shows all of the card's figures and no others."""

import html
import re

import pytest
from django.test import Client
from django.utils import translation

from mlcore import gates, registry
from mlcore.cards import phrases, presentation, words
from mlcore.engine.data import population
from mlcore.models import ModelVersion
from mlcore.templatetags import card_values as filters
from tests.conftest import signed_in
from tests.mlcore.model_cards import early_card, failures, full_card, roc_points, write_bundle

pytestmark = pytest.mark.django_db

OLD = {
    "use", "data", "answers", "figures", "groups", "threshold", "calibration", "scope", "made",
}  # fmt: skip
NEW = {"shortcuts", "robustness", "failures"}


@pytest.fixture
def full_model(active_model) -> ModelVersion:
    """A registered model with a full card but without a bundle."""
    return ModelVersion.objects.create(
        name="pneumonia-9", bundle_sha256="ab" * 32, path="pneumonia-9", card=full_card()
    )


def other_card(version: ModelVersion, **changes: object) -> ModelVersion:
    """Register a model with a changed card; a registered one never changes."""
    return ModelVersion.objects.create(
        name="pneumonia-8", bundle_sha256="cd" * 32, path="none", card=version.card | changes
    )


def page_of(browser: Client, version: ModelVersion) -> str:
    response = browser.get(f"/models/{version.name}/")
    assert response.status_code == 200
    return response.content.decode()


def text_of(page: str) -> str:
    """Return the text of a page without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def sections_of(page: str) -> set[str]:
    return set(re.findall(r'<section class="panel card-section"\s+id="(\w+)"', page))


def test_list_links_to_each_card_with_its_main_metrics(active_model, full_model, as_doctor):
    page = as_doctor.get("/models/").content.decode()
    for version in (active_model, full_model):
        assert f'href="/models/{version.name}/"' in page
    assert text_of(page).count(" active ") == 1
    held_out = active_model.card["metrics"]["test"]
    assert f"{held_out['auc']:.3f}" in page
    text = text_of(page)
    # 359 of 392 X-rays with pneumonia are called pneumonia, 128 of 135 without are called normal.
    assert "With pneumonia, called pneumonia 0.916 0.884–0.939" in text
    assert "Without pneumonia, called normal 0.948 0.897–0.975" in text
    assert "With pneumonia, called pneumonia not measured" in text, "of pneumonia-9"
    assert "Official test split (n = 624) : Specificity at the ranking threshold 0.684" in text


@pytest.fixture
def overridden(active_model) -> ModelVersion:
    """The active model with two reasons by which it was activated; it fails two more gates."""
    reasons = {"lungs_masked": "<b>A trial</b>", "auc": "It passes today."}
    ModelVersion.objects.filter(pk=active_model.pk).update(gate_overrides=reasons)
    active_model.refresh_from_db()
    return active_model


@pytest.mark.parametrize("address", ["/models/", "/models/{name}/"])
def test_gates_that_the_active_model_does_not_pass_are_shown(
    address, overridden, as_doctor, monkeypatch
):
    monkeypatch.setattr(gates, "shipped_overrides", lambda _: {})
    page = as_doctor.get(address.format(name=overridden.name)).content.decode()
    text = html.unescape(text_of(page))
    assert "AUC with the lungs masked 0.916 (limit: at most 0.75)" in text
    assert "Reason for the activation: <b>A trial</b>" in text
    assert "<b>A trial" not in page
    assert "These figures are outside their limits" in text
    assert "Calibration error, ECE (worst set) 0.169 (limit: at most 0.1)" in text
    assert text.count("No reason is recorded") == 3
    assert "It passes today." not in text


def test_who_activated_a_model_in_spite_of_its_gates_is_shown(
    active_model, as_ml_engineer, ml_engineer, as_doctor, tmp_path
):
    version = write_bundle(tmp_path, full_card("pneumonia-11"))
    sent = {f"override_{name}": f"reason for {name}" for name in gates.NAMES}
    address = f"/admin/mlcore/modelversion/{version.pk}/activate/"
    as_ml_engineer.post(address, sent | {"confirm_worse": "on", "confirm_uncompared": "on"})
    text = text_of(page_of(as_doctor, version))
    assert f"by {ml_engineer.display_name}. These figures" in text
    assert "Reason for the activation: reason for sick_called_normal" in text
    assert "not measured (limit: at most 0.05)" in text
    listed = text_of(as_doctor.get("/models/").content.decode())
    assert re.search(r"Active, but \d+ activation gates are not passed", listed)
    # The model that was replaced keeps what is known of it, but the list is about the active one.
    assert listed.count("Active, but") == 1
    assert "gates" in sections_of(page_of(as_doctor, active_model))


def test_a_model_that_was_never_activated_has_no_gates_to_show(full_model, as_doctor):
    assert "gates" not in sections_of(page_of(as_doctor, full_model))


def test_an_invalid_limit_in_the_settings_breaks_no_page(active_model, as_doctor, settings):
    settings.ACTIVATION_FLOORS = {"lungs_masked": 0.99}
    text = text_of(page_of(as_doctor, active_model))
    assert "AUC with the lungs masked 0.916 (limit: at most 0.75)" in text
    assert as_doctor.get("/models/").status_code == 200


def facts_of(page: str) -> dict[str, str]:
    """Return the facts of the training data by name."""
    data = page[page.index('id="data"') :].split("</dl>")[0]
    names = re.findall(r"<dt>(.*?)</dt>\s*<dd[^>]*>(.*?)</dd>", data, re.DOTALL)
    return {text_of(name).strip(): text_of(value).strip() for name, value in names}


def test_a_population_that_is_not_stated_is_said_to_be_so(full_model, as_doctor):
    version = other_card(full_model, population=population.NOT_STATED)
    page = page_of(as_doctor, version)
    facts = facts_of(page)
    for name in ("Ages", "Views", "Hospital", "Source", "Licence"):
        assert facts[name] == "not stated"
    assert "frontal chest radiographs" not in page
    assert "doctors who can read chest X-rays themselves" not in page
    assert "The population is not stated, so this model gives no results" in page
    assert "The population is not stated" in as_doctor.get("/models/").content.decode()
    only_ages = full_model.card["population"] | {"view": [], "sites": []}
    ModelVersion.objects.create(
        name="ages", bundle_sha256="ef" * 32, path="none",
        card=full_model.card | {"population": only_ages},
    )  # fmt: skip
    page = page_of(as_doctor, ModelVersion.objects.get(name="ages"))
    assert "frontal chest radiographs (views not stated)" in page
    assert facts_of(page)["Ages"] == "1 to 5 years"


def test_shipped_reasons_are_translated():
    version = registry.register(registry.folder_of("pneumonia-2"))
    reasons = gates.shipped_overrides(version)
    assert reasons
    with translation.override("zh-hant"):
        for reason in reasons.values():
            assert re.search("[一-鿿]", phrases.translated_phrase(reason) or ""), reason


def test_model_set_aside_is_not_listed_but_has_its_page(active_model, as_doctor):
    ModelVersion.objects.update(set_aside_reason="model.tflite is not the file of /srv/bundles")
    assert "No models yet" in as_doctor.get("/models/").content.decode()
    page = page_of(as_doctor, active_model)
    assert "it was disabled" in page
    assert "/srv/bundles" not in page


def test_early_card_shows_no_empty_sections(as_doctor, tmp_path):
    early = write_bundle(tmp_path, early_card())
    page = page_of(as_doctor, early)
    assert sections_of(page) == OLD
    assert "data-trade" not in page
    assert "data-copy" not in page
    for name in OLD:
        assert f'href="#{name}"' in page
    assert early.bundle_sha256 in page


def test_full_card_shows_every_section(full_model, as_doctor):
    page = page_of(as_doctor, full_model)
    text = text_of(page)
    assert sections_of(page) == OLD | NEW
    for shown in (
        "at least 97% of those with pneumonia",
        "Below 0.341: normal. 0.841 or above: pneumonia. Between: inconclusive.",
        "Under the rule of decision: not measured.",
        "Adults&#x27; X-rays, test set (should be flagged) 300 0.953 0.943–0.963",
        "Lungs masked",
        "0.812 0.792–0.822",
        "74% of the heatmap",
        "which cover 31% of the image",
        "JPEG compression 1 0.980",
        "moire pattern",
        "Viral pneumonia X-rays with pneumonia 142 0.937",
        "Normal X-rays, file series IM X-rays without pneumonia 60",
        "Ensemble members 5",
        "keras 3.15.1",
    ):
        assert shown in text, shown
    # The confusion matrix is a table of the figures on the card.
    assert text.count("The file of this plot is missing or was changed.") == 3


def test_each_command_is_in_the_section_of_its_metrics(full_model, as_doctor):
    page = page_of(as_doctor, full_model)
    for name, command in (
        ("figures", "evaluate"), ("shortcuts", "probe"), ("made", "train"), ("robustness", None),
    ):  # fmt: skip
        part = page[page.index(f'id="{name}"') :].split("</section>")[0]
        if command:
            assert full_model.card["commands"][command] in part
        else:
            assert "<code" not in part, "the card has no command for it"


def test_failures_are_described_with_false_negatives_first(full_model, as_doctor):
    page = page_of(as_doctor, full_model)
    text = text_of(page[page.index('id="failures"') :])
    false_negatives = text.index("False negatives: pneumonia classified as normal (2)")
    assert false_negatives < text.index("False positives: normal classified as pneumonia (2)")
    assert (
        "0.041 Viral pneumonia Heatmap strongest in the middle of the image. "
        "Compared with the other X-rays: bright borders." in text
    )
    assert "0.512 Bacterial pneumonia Compared with the other X-rays: dark borders." in text
    assert len(failures()) == page.count('<li class="failure ')


def test_card_without_failures_says_that_errors_are_to_be_expected(full_model, as_doctor):
    version = other_card(full_model, failures=[])
    assert "Every test-set X-ray was classified correctly" in page_of(as_doctor, version)


def test_page_is_translated(full_model, doctor):
    client = Client(headers={"accept-language": "zh-hant"})
    client.force_login(doctor)
    text = text_of(page_of(client, full_model))
    for shown in (
        "偽陰性：肺炎判為正常（2）",
        "熱圖在畫面中央最強",
        "邊緣偏亮",
        "遮住肺野",
        "每 1000 名兒童",
    ):
        assert shown in text
    assert "Compared with the other X-rays" not in text


def test_table_shows_threshold_tradeoff_without_javascript(full_model, as_doctor):
    page = page_of(as_doctor, full_model)
    slider = page[page.index('class="trade"') :].split("</div>")[0]
    assert re.search(r"\bhidden>", slider), "the slider is hidden until JavaScript shows it"
    table = text_of(page[page.index("data-trade-table") :].split("</table>")[0])
    # 0.682 is the ranking threshold: 4 false negatives among 200, 18 false positives among 800.
    assert "0.682 ranking 0.982 0.978 4 18" in table


def test_slider_covers_every_threshold_and_starts_at_the_one_in_use(full_model):
    tradeoff = presentation.tradeoff(full_model.card)
    assert tradeoff is not None
    thresholds = [point.threshold for point in tradeoff["points"]]
    assert thresholds == sorted(thresholds)
    assert len(thresholds) == len(roc_points()["probability"]) + 1
    shipped = tradeoff["points"][tradeoff["shipped_place"]]
    assert shipped.threshold == full_model.card["threshold"]["value"]
    assert shipped.sensitivity == full_model.card["metrics"]["validation"]["sensitivity"]
    assert tradeoff["data"].count(";") == tradeoff["last_place"]
    assert 0 < tradeoff["shipped_x"] < 100


def test_threshold_in_use_is_not_listed_twice():
    card = full_card()
    value = card["threshold"]["value"]
    card["roc_validation"]["probability"][20] = round(value, 6)
    tradeoff = presentation.tradeoff(card)
    assert tradeoff is not None
    assert len(tradeoff["points"]) == len(card["roc_validation"]["probability"])


def test_poor_model_shows_its_whole_curve():
    card = full_card()
    card["metrics"]["validation"] |= {"sensitivity": 0.6, "specificity": 0.9}
    tradeoff = presentation.tradeoff(card)
    assert tradeoff is not None
    assert tradeoff["extent"] == 1


def test_pages_hold_no_inline_script_or_style(full_model, as_doctor):
    page = page_of(as_doctor, full_model) + as_doctor.get("/models/").content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)


def test_text_from_a_card_is_escaped(full_model, as_doctor):
    version = other_card(
        full_model,
        commands={"evaluate": '"><script>alert(1)</script>'},
        population=full_model.card["population"] | {"source": "<b>bold</b>"},
    )
    page = page_of(as_doctor, version)
    assert "<script>alert" not in page
    assert "<b>bold" not in page


@pytest.mark.parametrize("name", ["no-such-model", "../etc", "pneumonia-9/"])
def test_unknown_model_is_not_found(name, full_model, as_doctor):
    assert as_doctor.get(f"/models/{name}/").status_code == 404


def test_only_admin_staff_get_a_link_to_the_admin(
    full_model, as_doctor, as_supervisor, ml_engineer
):
    link = f"/admin/mlcore/modelversion/{full_model.pk}/change/"
    assert link not in page_of(as_doctor, full_model)
    assert link in page_of(as_supervisor, full_model)
    assert link in page_of(signed_in(ml_engineer), full_model)


def test_missing_metrics_are_shown_as_dashes(active_model, as_doctor):
    figures = active_model.card["metrics"]["test"] | {"auc": None, "auc_ci": [None, None]}
    other_card(active_model, metrics=active_model.card["metrics"] | {"test": figures})
    assert "AUC not measured" in text_of(as_doctor.get("/models/").content.decode())


def test_figure_formats():
    assert filters.figure(0.98765) == "0.988"
    assert filters.figure(float("nan")) == filters.figure(None) == "–"
    assert filters.interval([0.1, None]) == filters.interval(None) == ""
    assert filters.signed(-0.0125) == "−0.013"
    assert filters.p_value(0.0004) == "< 0.001"
    with translation.override("en"):
        assert filters.duration(5400) == "1 h 30 min"
        assert filters.duration(20) == "20 s"
    assert filters.flat({"a": {"b": 1}, "c": 2}) == [("a.b", 1), ("c", 2)]


def card_phrases(card) -> list[str]:
    """Return the free text of a card that its page shows in the reader's language."""
    return [
        *card["population"]["sites"],
        card["data"]["split"],
        card["threshold"]["how"],
        card["calibration"]["method"],
        card["conformal"]["method"],
        card["scope"]["method"],
        card["scope"]["how"],
    ]


def test_every_phrase_of_the_shipped_card_is_shown_in_chinese(active_model, doctor):
    client = Client(headers={"accept-language": "zh-hant"})
    client.force_login(doctor)
    page = html.unescape(page_of(client, active_model))
    with translation.override("zh-hant"):
        for phrase in card_phrases(active_model.card):
            shown = phrases.translated_phrase(phrase)
            assert shown is not None, phrase
            assert re.search(r"[\u4e00-\u9fff]", shown), phrase
            assert "%(" not in shown
            assert shown in page, phrase
            assert phrase not in page
    for row in active_model.card["scope"]["measured"]:
        assert row["set"] in words.SCOPE_SETS
        assert row["set"] not in page


def test_figures_in_a_phrase_are_kept():
    phrase = (
        "quantiles 0.99 of the distance and 0.9 of the network's log-odds, on films that neither"
        " learnt from"
    )
    with translation.override("en"):
        shown = phrases.translated_phrase(phrase)
    assert shown is not None
    assert "Quantile 0.99 of the distance and quantile 0.9 of the OOD classifier" in shown


def test_an_unknown_phrase_is_marked_as_english_and_escaped():
    assert filters.phrase("by <hand>") == '<span lang="en">by &lt;hand&gt;</span>'
    with translation.override("zh-hant"):
        assert filters.phrases(["A", "B"]) == '<span lang="en">A</span>、<span lang="en">B</span>'
