from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import translation

from mlcore import gates, registry
from mlcore.comparison import against_active
from mlcore.models import ModelVersion


class Command(BaseCommand):
    help = (
        "Activate a model. Refuses a bundle without a threshold chosen on validation data, "
        "calibration figures or a scope gate, whose hash differs from the registered one, or that "
        "does not pass the activation gates. Lists every gate."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="name of a registered model or of a bundle")
        parser.add_argument(
            "--override",
            action="append",
            default=[],
            metavar="GATE=REASON",
            help="activate although this gate is not passed; the reason is kept with the model and "
            f"in the audit log (default: none). Gates: {', '.join(gates.NAMES)}",
        )
        parser.add_argument(
            "--confirm-worse",
            action="store_true",
            help="activate a model that is worse than the active one on the same test films "
            "(default: refuse)",
        )
        parser.add_argument(
            "--confirm-uncompared",
            action="store_true",
            help="activate a model that cannot be compared with the active one, because they share "
            "no test films or their predictions are missing (default: refuse)",
        )
        parser.add_argument(
            "--if-none",
            action="store_true",
            help="do nothing if a model is active, as when a container starts again (default: "
            "activate)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        if options["if_none"] and (active := registry.active_version()) is not None:
            self.stdout.write(f"{active.name} stays active.")
            return
        overrides = _overrides(options["override"])
        try:
            version = registry.find(name) or registry.register(registry.folder_of(name))
            if options["verbosity"]:
                for result in gates.results(version, overrides):
                    self.stdout.write(_line(result))
            _refuse_unconfirmed(version, options)
            registry.activate(version, overrides=overrides)
        except registry.GatesNotPassed as error:
            raise CommandError(
                f"{name} was not activated: {error} To activate it anyway, give a reason for each: "
                + " ".join(f'--override {r.gate.name}="..."' for r in error.results)
            ) from error
        except (registry.ModelUnavailable, registry.NotFitToActivate, gates.GateError) as error:
            raise CommandError(f"{name} was not activated: {error}") from error
        except DatabaseError as error:
            raise CommandError(
                f"The database is not ready ({error}). Run migrate first."
            ) from error
        if options["verbosity"]:
            self.stdout.write(f"  {name} ({version.bundle_sha256[:12]}) is active.")


def _overrides(stated: list[str]) -> dict[str, str]:
    found = {}
    for text in stated:
        name, equals, reason = text.partition("=")
        if not equals:
            raise CommandError(f"--override must be GATE=REASON. Received: {text!r}.")
        found[name] = reason
    return found


def _line(result: gates.Result) -> str:
    value = "-" if result.value is None else f"{result.value:.4g}"
    limit = f"{'at least' if result.gate.at_least else 'at most'} {result.floor:g}"
    line = f"  {result.gate.name:<22} {value:>8}  {limit:<14} {result.status}"
    return f"{line}; overridden: {result.override}" if result.override else line


def _refuse_unconfirmed(version: ModelVersion, options: dict[str, Any]) -> None:
    """Refuse an unconfirmed model that is worse than the active one, or cannot be compared."""
    against = against_active(version)
    if not against.to_confirm or options[f"confirm_{against.to_confirm}"]:
        return
    refused = f"{version.name} was not activated: "
    if against.cannot is not None:
        with translation.override("en"):
            reason = against.cannot.reason
        raise CommandError(
            f"{refused}it cannot be compared with the active model {against.active}. {reason} "
            f"Use --confirm-uncompared to activate it."
        )
    found = against.comparison
    assert found is not None  # noqa: S101 - it is worse
    low, high = found.auc.interval
    raise CommandError(
        f"{refused}on the same {found.n} test films its AUC is {found.auc.second:.4f}, that of the "
        f"active model {against.active} {found.auc.first:.4f} (difference with 95% confidence "
        f"interval {low:+.4f} to {high:+.4f}). Use --confirm-worse to activate it."
    )
