"""Taiwan's nine transparency indicators for medical AI, answered from a model's card.

The Ministry of Health and Welfare's responsible-AI programme asks hospitals to publish nine
indicators for each AI product; they are the categories of source attributes of the US rule HTI-1
(45 CFR 170.315(b)(11)). Nothing is claimed that the card does not state: what is missing is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from mlcore.cards import presentation, words
from mlcore.cards.evaluated import EvaluatedSet, evaluated
from mlcore.cards.not_passed import activations
from mlcore.cards.phrases import translated_phrase
from mlcore.engine.serving.preprocess import LUNG_BOX
from mlcore.models import ModelVersion

Text = str | Promise
Card = Mapping[str, Any]
Rows = Iterator[tuple[Text, Any]]

NOT_STATED = _("not stated")
FIGURES = ("auc", "accuracy", "sensitivity", "specificity", "ece", "out_of_scope_rate")


@dataclass(frozen=True)
class Indicator:
    """One indicator.

    Attributes:
        key: its name, the fragment identifier.
        title: its name in the reader's language.
        rows: (term, text or list of texts).
        blanks: what the hospital fills in by hand.
    """

    key: str
    title: Text
    rows: list[tuple[Text, Any]]
    blanks: list[Text] = field(default_factory=list)


def sheet(version: ModelVersion) -> dict[str, Any]:
    """Return the template context of the sheet."""
    card, sets = version.card, evaluated(version)
    figures = [entry.figures for entry in sets]
    return {
        "version": version,
        "card": card,
        "indicators": [
            Indicator("output", _("Details and output of the intervention"), [*_output(version)]),
            Indicator("purpose", _("Purpose of the intervention"), [*_purpose(card)]),
            Indicator("cautions", _("Cautioned out-of-scope use"), [*_cautions(card)]),
            Indicator("development", _("Development details and input features"),
                      [*_development(card)]),
            Indicator("fairness", _("Process used to ensure fairness in development"),
                      [*_fairness(card)]),
            Indicator("external-validation", _("External validation process"),
                      [*_external(card, sets)]),
            Indicator("performance", _("Quantitative measures of performance"), []),
            Indicator("maintenance", _("Ongoing maintenance of implementation and use"),
                      [*_maintenance(version)],
                      [_("Person responsible at this hospital"), _("Contact")]),
            Indicator("updates", _("Updates and continued validation or fairness assessment"),
                      [*_updates(version)],
                      [_("Validated here on (date)"), _("Next assessment by (date)")]),
        ],
        "sets": sets,
        "figures": presentation.measures(figures, FIGURES),
    }  # fmt: skip


def _joined(values: Any) -> Text:
    texts = [str(translated_phrase(str(value)) or value) for value in values or ()]
    return str(pgettext_lazy("between the words of a list", ", ")).join(texts) or NOT_STATED


def _ages(card: Card) -> Text:
    ages = (card.get("population") or {}).get("age_years")
    if not ages:
        return NOT_STATED
    return gettext("%(low)s to %(high)s years") % {"low": ages[0], "high": ages[1]}


def _output(version: ModelVersion) -> Rows:
    rule = presentation.rule(version.card)
    yield _("Product"), _("xraysite, an open-source platform; the model runs at this hospital.")
    yield _("Model"), version.name
    yield _("Funding"), NOT_STATED
    yield (
        _("What it does"),
        _(
            "A neural network estimates from one frontal chest X-ray whether pneumonia is visible."
            " X-rays outside the validated population get no result."
        ),
    )
    yield (
        _("Output"),
        [
            _("One of four results: normal, pneumonia, inconclusive, or out of scope."),
            _("A calibrated probability of pneumonia, from 0 to 1."),
            _("A heatmap of the image areas that support pneumonia; it is no segmentation."),
        ],
    )
    yield _("Rule of decision"), rule["sentence"]


def _purpose(card: Card) -> Rows:
    yield _("Intended use"), _("A second opinion after the doctor's own reading.")
    yield _("Patients"), gettext("Children, age: %(ages)s") % {"ages": _ages(card)}
    yield _("Intended users"), _("Doctors who can read chest X-rays themselves.")
    yield (
        _("Role in decisions"),
        _("It informs a doctor, who decides. It starts no treatment and excludes no disease."),
    )
    if derived := card.get("derived"):
        yield (
            _("Site"),
            gettext("Fitted to X-rays of %(site)s, and meant for that site only.") % derived,
        )


def _cautions(card: Card) -> Rows:
    population = card.get("population") or {}
    yield (
        _("Do not use for"),
        [
            gettext("Patients outside this age range: %(ages)s") % {"ages": _ages(card)},
            gettext("Views other than %(views)s, other body parts, CT")
            % {"views": _joined(population.get("view"))},
            _("Findings other than pneumonia, such as tuberculosis, effusion, fracture or tumour"),
            _("Excluding disease, or deciding on treatment, without a doctor"),
        ],
    )
    test = card.get("metrics", {}).get("test", {})
    yield (
        _("Known risks"),
        [
            _("False negatives can leave pneumonia untreated; indicator 7 states how often."),
            _("False positives can lead to unnecessary treatment."),
            _("At other hospitals, error rates and probabilities can be worse than stated."),
            *([_robustness(card)] if test and card.get("robustness") else []),
        ],
    )
    yield _("Certification"), _("Not certified as a medical device.")


def _robustness(card: Card) -> str:
    rows = [row for row in card["robustness"]["rows"] if row.get("specificity") is not None]
    worst = min(rows, key=lambda row: row["specificity"])
    return gettext("Lowest specificity under a simulated image change: %(value)s (%(change)s)") % {
        "value": f"{worst['specificity']:.3f}",
        "change": words.CORRUPTIONS.get(worst["corruption"], worst["corruption"]),
    }


def _development(card: Card) -> Rows:
    population, data = card.get("population") or {}, card.get("data") or {}
    films = presentation.counts(card)
    reads_lungs = card.get("preprocessing", {}).get("id") == LUNG_BOX
    yield (
        _("Input features"),
        _("The pixels inside the lungs, which a network of its own finds.")
        if reads_lungs
        else _("The pixels of the whole X-ray."),
    )
    yield (
        _("Not used for the probability"),
        _("Age, sex and file header; age and header only decide whether an X-ray is in scope."),
    )
    yield _("Training data"), _joined([population["source"]] if population.get("source") else ())
    yield _("Hospital"), _joined(population.get("sites"))
    yield _("Ages"), _ages(card)
    yield _("Views"), _joined(population.get("view"))
    if data.get("patients"):
        yield _("Number of patients"), data["patients"]
    for row in films:
        parts = [
            f"{words.LABELS.get(label, label)} {count}"
            for label, count in zip(card.get("labels", []), row["by_label"], strict=True)
        ]
        yield row["name"], f"{row['total']} ({_joined(parts)})"
    yield _("Method"), _method(card)
    yield _("Labels"), _("As published with the data; not read again for this model.")


def _method(card: Card) -> str:
    arguments = (card.get("training") or {}).get("arguments") or {}
    return gettext(
        "Convolutional networks (%(arch)s): %(members)s, input %(size)s pixels a side"
    ) % {
        "arch": arguments.get("arch", "–"),
        "members": card.get("members", 1),
        "size": card.get("input_size", "–"),
    }


def _fairness(card: Card) -> Rows:
    measures: list[Text] = [
        _("Training and test sets have no patient in common."),
        _("Figures are stated for each label, and for bacterial and viral pneumonia."),
    ]
    if ((card.get("training") or {}).get("arguments") or {}).get("groups"):
        measures.append(
            _("Within groups of similar equipment, both labels were drawn equally often.")
        )
    probes = {
        row["probe"]: row.get("auc") for row in (card.get("shortcuts") or {}).get("probes", [])
    }
    if probes.get("frame_alone") is not None and probes.get("lungs_masked") is not None:
        measures.append(
            gettext(
                "Shortcuts were measured: AUC %(frame)s from borders alone, %(masked)s with the"
                " lungs masked (0.5 is chance)."
            )
            % {
                "frame": f"{probes['frame_alone']:.3f}",
                "masked": f"{probes['lungs_masked']:.3f}",
            }
        )  # fmt: skip
    yield _("Measures"), measures
    yield (
        _("Not assessed"),
        _("Sex, ethnicity, weight and social groups: the published data do not state them."),
    )
    yield _("Single source"), gettext("All training X-rays come from: %(sites)s") % {
        "sites": _joined((card.get("population") or {}).get("sites"))
    }  # fmt: skip


def _external(card: Card, sets: list[EvaluatedSet]) -> Rows:
    if derived := card.get("derived"):
        yield (
            derived["site"],
            gettext(
                "%(well)s normal X-rays and %(sick)s with pneumonia, of %(patients)s patients; each"
                " judged by limits fitted without its patient (%(date)s)."
            )
            % {
                "well": derived["n"]["NORMAL"],
                "sick": derived["n"]["PNEUMONIA"],
                "patients": derived["patients"],
                "date": derived["date"],
            },
        )
    others = [entry for entry in sets if entry.is_external]
    for entry in others:
        by = entry.measured_by or (
            _("measured outside the project") if entry.is_independent else _("this project")
        )
        title = translated_phrase(str(entry.title)) or entry.title
        yield (
            title,
            gettext("n = %(n)s, %(date)s, measured by: %(by)s")
            % {
                "n": entry.n,
                "date": entry.row.measured_on.isoformat() if entry.row else "–",
                "by": by,
            },
        )
    if not others and not card.get("derived"):
        yield _("External sets"), _("None recorded.")
    yield (
        _("At this hospital"),
        _("validate_site measures the model on the hospital's own labelled X-rays before use."),
    )


def _maintenance(version: ModelVersion) -> Rows:
    yield (
        _("Monitoring"),
        [
            _("The dashboard compares recent readings with the validation data and raises an alarm"
              " on drift."),
            _("Doctors record their own assessment; the dashboard counts disagreements with the"
              " model."),
        ],
    )  # fmt: skip
    yield (
        _("Integrity"),
        _("Files are verified by SHA-256 whenever the model is loaded; every reading can be"
          " recomputed from the stored X-ray and model."),
    )  # fmt: skip
    yield (
        _("Failures"),
        _("If the model is missing, damaged or too slow, there is no result instead of a guess."),
    )
    latest = next((row for row in activations(version) if row["activated"]), None)
    yield (
        _("In use"),
        (
            gettext("since %(date)s") % {"date": f"{latest['at']:%Y-%m-%d}"}
            if latest and version.is_active
            else _("not active")
        ),
    )


def _updates(version: ModelVersion) -> Rows:
    card = version.card
    made = (card.get("derived") or {}).get("date") or (card.get("training") or {}).get("finished")
    yield _("Version (bundle SHA-256)"), version.bundle_sha256
    yield _("Made on"), str(made)[:10] if made else NOT_STATED
    yield (
        _("Updates"),
        _("A version never changes and does not learn from readings. A new one has another name"
          " and must pass the activation gates before a person activates it."),
    )  # fmt: skip
    yield (
        _("Continued validation"),
        _("The developers set no schedule. Repeat validate_site at least once a year, after changes"
          " of equipment, and on a drift alarm."),
    )  # fmt: skip
