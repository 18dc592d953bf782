import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone
from rich.console import Console

from mlcore import registry
from mlcore.engine.data import dataset
from mlcore.engine.evaluation import site_films
from mlcore.engine.evaluation.site_films import SiteFilms
from mlcore.engine.serving import bundle as bundles
from mlcore.engine.training import derived, site
from mlcore.management.commands import _site as shown
from mlcore.management.commands._common import add_ignore_folder, chosen_model, write_json
from mlcore.management.commands._figures import undefined_printed
from mlcore.management.commands._training import refuse_unwritable
from mlcore.registry import LoadedModel

SITE_LENGTH = 80
HALF_WIDTH = 0.05
INTERRUPTED = "Interrupted. Nothing was written; the same command starts again."


class Command(BaseCommand):
    help = (
        "Measure a model on a hospital's own films with the class folders NORMAL and PNEUMONIA: "
        "the figures of the model card with confidence intervals, a reliability diagram, the "
        "activation gates, and how many films are needed. With --fit, also write and register a "
        "derived model: the same networks with calibration, threshold and limits of the rule "
        "fitted to these films. It is not activated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--data", type=Path, required=True, help="folder with class folders (required)")
        add("--name", required=True, help="name of the hospital or department (required)")
        add_ignore_folder(parser)
        add("--model", help="name of a model (default: the active model)")
        add("--json", type=Path, help="file to write the figures to (default: none)")
        add("--measured-by", help="who measured, stated in the JSON file (default: not stated)")
        add(
            "--plot",
            type=Path,
            help="file to write the reliability diagram to, a PNG (default: the name of the JSON "
            "file with .png)",
        )
        add(
            "--half-width",
            type=float,
            default=HALF_WIDTH,
            help="half the width of the 95%% confidence intervals of sensitivity and specificity "
            "for which the number of films is stated (default: 0.05)",
        )
        add(
            "--fit",
            action="store_true",
            help="write and register a derived model (default: only measure)",
        )
        add("--bundle", help="with --fit: name of the derived model (default: MODEL-NAME)")
        add("--out", type=Path, help="with --fit: folder of bundles (default: BUNDLE_DIR)")
        add("--seed", type=int, default=0, help="with --fit: seed of the bootstrap (default: 0)")

    @undefined_printed()
    def handle(self, *args: Any, **options: Any) -> None:
        self._refuse_nonsense(options)
        console = Console(stderr=True)
        model = chosen_model(options["model"])
        root = options["out"] or Path(settings.BUNDLE_DIR)
        name = self._free_bundle_name(options, model, root) if options["fit"] else ""
        films = self._read(options, model, console)
        figures, found = self._measured(options, model, films)
        self._report(options, model, films, figures, found)
        self._write(options, figures, films)
        if options["fit"]:
            self._fit(options, model, films, root, name, figures)

    def _refuse_nonsense(self, options: dict[str, Any]) -> None:
        """Refuse what cannot work before any film is read."""
        options["name"] = options["name"].strip()
        if not options["name"] or len(options["name"]) > SITE_LENGTH:
            raise CommandError(f"--name needs a name of at most {SITE_LENGTH} characters.")
        if not 0 < options["half_width"] < 0.5:
            raise CommandError(
                f"--half-width must be between 0 and 0.5. Received: {options['half_width']}."
            )
        if not options["fit"] and (options["bundle"] or options["out"]):
            raise CommandError("--bundle and --out need --fit.")
        if options["plot"] is None and options["json"] is not None:
            options["plot"] = options["json"].with_suffix(".png")
        for path in (options["json"], options["plot"]):
            if path is not None and not path.parent.is_dir():
                raise CommandError(f"{path} cannot be written: {path.parent} is not a folder.")

    def _free_bundle_name(self, options: dict[str, Any], model: LoadedModel, root: Path) -> str:
        slug = re.sub(r"\W+", "-", options["name"]).strip("-") or "site"
        name: str = options["bundle"] or f"{model.name}-{slug}"
        if not name.replace("-", "").replace("_", "").isalnum():
            raise CommandError("Model names may only contain letters, digits, '-' and '_'.")
        refuse_unwritable(root)
        try:
            place = registry.place_of(name, root)
            if place is not None:
                free = registry.free_name(name, root)
        except DatabaseError as error:
            raise CommandError(
                f"The database is not ready ({error}). Run migrate first."
            ) from error
        if place is not None:
            raise CommandError(
                f"A model named {name!r} already exists in {place}. Choose another name, for "
                f"example: --bundle {free}"
            )
        return name

    def _read(self, options: dict[str, Any], model: LoadedModel, console: Console) -> SiteFilms:
        try:
            with shown.reading_progress(console) as on_progress:
                return site_films.read(
                    options["data"],
                    model.run,
                    ignored=options["ignore_folder"],
                    on_progress=on_progress,
                )
        except dataset.DatasetError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as error:
            raise CommandError(INTERRUPTED) from error

    def _measured(
        self, options: dict[str, Any], model: LoadedModel, films: SiteFilms
    ) -> tuple[dict[str, Any], list[shown.SiteGate]]:
        figures = site_films.figures(films, model.card)
        found = shown.gates_of(model.card, figures)
        return figures | {
            "model": model.name,
            "bundle_sha256": model.sha256,
            "site": options["name"],
            "data": options["name"],
            **({"measured_by": options["measured_by"]} if options["measured_by"] else {}),
            "date": timezone.localdate().isoformat(),
            "n_by_label": films.counts,
            "patients": films.patients,
            "data_sha256": films.sha256,
            "sample_size": site_films.films_needed(figures, options["half_width"]),
            "reliability": site_films.reliability_table(films.labels, films.probabilities),
            "gates": [gate.to_json() for gate in found],
            "unreadable": [
                {"file": entry.path, "error": entry.reason} for entry in films.unreadable
            ],
        }, found

    def _report(
        self,
        options: dict[str, Any],
        model: LoadedModel,
        films: SiteFilms,
        figures: dict[str, Any],
        found: list[shown.SiteGate],
    ) -> None:
        self.stdout.write(f"{model.name} ({model.sha256[:12]}) at {options['name']}")
        for line in shown.lines(figures):
            self.stdout.write(line)
        for line in shown.gate_lines(found):
            self.stdout.write(line)
        for line in shown.needed_lines(figures["sample_size"], films.counts):
            self.stdout.write(line)
        for entry in films.unreadable:
            self.stdout.write(f"  skipped: {entry.path}: {entry.reason}")

    def _write(self, options: dict[str, Any], figures: dict[str, Any], films: SiteFilms) -> None:
        if options["json"]:
            write_json(options["json"], figures)
        if options["plot"]:
            plot = shown.reliability_plot(films)
            if plot is None:
                self.stdout.write(f"  {shown.NO_PLOT}")
            else:
                shown.write_plot(options["plot"], plot)

    def _fit(
        self,
        options: dict[str, Any],
        model: LoadedModel,
        films: SiteFilms,
        root: Path,
        name: str,
        figures: dict[str, Any],
    ) -> None:
        self.stdout.write("Fitting calibration, threshold and limits ...")
        try:
            base = bundles.read(model.folder)
            if base.sha256 != model.sha256:
                raise CommandError(f"The bundle of {model.name} changed meanwhile. Run it again.")
            site.check_map(films, model.card)
            fitted = site.cross_fit(films, seed=options["seed"])
            card = derived.card_of(
                base,
                fitted,
                name=name,
                site=options["name"],
                date=figures["date"],
                seed=options["seed"],
            )
            plot = shown.reliability_plot(films, fitted.probabilities)
            written = derived.write(root, base, card, fitted, plot)
        except (site.CannotFitError, bundles.BundleError, OSError) as error:
            raise CommandError(f"No model was derived. {error}") from error
        except KeyboardInterrupt as error:
            raise CommandError("Interrupted. No model was derived.") from error
        self._register(written)
        self._report_derived(options, figures, card, fitted)

    def _register(self, written: bundles.Bundle) -> None:
        try:
            registry.register(written.folder)
        except (registry.NameInUse, registry.ModelUnavailable) as error:
            raise CommandError(
                f"{written.folder} is complete but not registered: {error}"
            ) from error
        self.stdout.write(f"Registered {written.name} ({written.sha256[:12]}), not active.")

    def _report_derived(
        self,
        options: dict[str, Any],
        figures: dict[str, Any],
        card: dict[str, Any],
        fitted: site.CrossFitted,
    ) -> None:
        cross_fitted = card["metrics"]["test"]
        self.stdout.write(f"Cross-fitted in {fitted.folds} folds of patients:")
        for line in shown.lines(cross_fitted):
            self.stdout.write(line)
        found = shown.gates_of(card, cross_fitted, at_site=shown.AT_SITE_DERIVED)
        for line in shown.gate_lines(found):
            self.stdout.write(line)
        self.stdout.write(f"To activate it: manage.py activate_model {card['name']}")
        if options["json"]:
            fit = {
                "model": card["name"],
                "metrics": cross_fitted,
                "derived": card["derived"],
                "calibration": card["calibration"],
                "threshold": card["threshold"],
                "conformal": card["conformal"],
                "gates": [gate.to_json() for gate in found],
            }
            write_json(options["json"], figures | {"fit": fit})
