"""The database models of registered models and of their evaluations; both are immutable."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


def bundle_roots() -> tuple[Path, Path]:
    """Return the folders of locally trained and of shipped bundles."""
    return Path(settings.BUNDLE_DIR), Path(settings.SHIPPED_BUNDLE_DIR)


def bundle_folder(path: str) -> Path:
    """Return the absolute folder of a bundle.

    Args:
        path: the bundle's name, or an absolute path, which is returned unchanged.

    Returns:
        The folder of the locally trained bundle, otherwise of the shipped one. If neither exists,
        the folder that training would write to.
    """
    trained, shipped = (root / path for root in bundle_roots())
    return shipped if shipped.exists() and not trained.exists() else trained


class ImmutableError(TypeError):
    """Raised on an attempt to change or delete what readings refer to for ever."""


class ImmutableQuerySet(models.QuerySet[Any]):
    """Refuses to change the model's `IMMUTABLE` fields and to delete rows."""

    def update(self, **values: Any) -> int:
        _refuse_change(self.model, values)
        return super().update(**values)

    def bulk_update(self, objs: Any, fields: Any, *args: Any, **options: Any) -> int:
        _refuse_change(self.model, fields)
        return super().bulk_update(objs, fields, *args, **options)

    def update_card_text(self, text: str) -> int:
        """Fill in the text of a card where it is empty; see `registry.complete`."""
        return super().update(card_text=text)

    def delete(self) -> NoReturn:
        raise ImmutableError(f"A {self.model._meta.verbose_name} is never deleted.")


def _refuse_change(model: Any, names: Collection[str]) -> None:
    fixed = sorted(set(names) & set(model.IMMUTABLE))
    if fixed:
        raise ImmutableError(
            f"{', '.join(fixed)} of a registered {model._meta.verbose_name} cannot be changed."
        )


class ImmutableModel(models.Model):
    """A model whose `IMMUTABLE` fields never change once a row exists, and which keeps its rows.

    `mlcore.immutability` installs database triggers that refuse the same to other programs.
    """

    IMMUTABLE: ClassVar[tuple[str, ...]] = ()

    objects: ClassVar[Any] = ImmutableQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **options: Any) -> None:
        written = options.get("update_fields")
        if not self._state.adding:
            checked = [name for name in self.IMMUTABLE if written is None or name in written]
            stored: Any = type(self).objects.filter(pk=self.pk).values(*checked).first()
            if checked and stored is not None:
                now = {name: self.serializable_value(name) for name in checked}
                _refuse_change(type(self), [name for name in checked if stored[name] != now[name]])
        super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> NoReturn:
        raise ImmutableError(f"A {self._meta.verbose_name} is never deleted.")


class ModelVersion(ImmutableModel):
    """A registered bundle. At most one is active.

    A name and a hash are one row for ever: a bundle that was trained again needs another name, so
    the page of an old reading cannot change.
    """

    IMMUTABLE = ("name", "bundle_sha256", "card", "card_text")

    name = models.CharField(pgettext_lazy("model", "name"), max_length=100, unique=True)
    bundle_sha256 = models.CharField(_("bundle SHA-256"), max_length=64)
    path = models.CharField(
        _("folder"),
        max_length=500,
        help_text=_("Relative to the folder of bundles, unless absolute."),
    )
    card = models.JSONField(_("model card"))
    card_text = models.TextField(
        _("text of the model card"),
        blank=True,
        editable=False,
        help_text=_("The card as its file has it; the bundle's SHA-256 is that of this text."),
    )
    is_active = models.BooleanField(_("active"), default=False)
    set_aside_reason = models.TextField(_("reason for disabling"), blank=True)
    created_at = models.DateTimeField(_("registered at"), auto_now_add=True)
    activated_at = models.DateTimeField(_("last activated at"), null=True, blank=True)
    gate_overrides = models.JSONField(
        _("overridden activation gates"),
        default=dict,
        blank=True,
        editable=False,
        help_text=_("Reasons by gate."),
    )

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        ordering: ClassVar = ["-is_active", "-created_at"]
        permissions: ClassVar = [("activate_modelversion", "Can choose the model that reads films")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["is_active"],
                condition=models.Q(is_active=True),
                name="mlcore_one_active_model",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("models:detail", args=[self.name])

    @property
    def folder(self) -> Path:
        """The bundle's absolute folder."""
        return bundle_folder(self.path)


class Evaluation(ImmutableModel):
    """Figures of a model version on one set of films, under its rule of decision.

    A card is covered by its bundle's hash, so that figures measured later cannot be added to it.
    They are kept here and shown beside the card's own.
    """

    class Kind(models.TextChoices):
        """Which films: those that limits were fitted on, held-out ones, or others."""

        VALIDATION = "validation", _("Validation set")
        TEST = "test", _("Test set")
        EXTERNAL = "external", _("External set")

    class Origin(models.TextChoices):
        """Where the figures come from."""

        BUNDLE = "bundle", _("from the bundle's predictions")
        MEASURED = "measured", _("measured with evaluate_model")
        STATED = "stated", _("measured independently")

    IMMUTABLE = (
        "version", "kind", "origin", "title", "data_sha256", "n", "figures", "note", "measured_on",
    )  # fmt: skip

    version = models.ForeignKey(
        ModelVersion,
        on_delete=models.PROTECT,
        related_name="evaluations",
        verbose_name=_("model version"),
    )
    kind = models.CharField(_("kind of set"), max_length=10, choices=Kind.choices)
    origin = models.CharField(_("origin"), max_length=10, choices=Origin.choices)
    title = models.CharField(_("data set"), max_length=120)
    data_sha256 = models.CharField(
        _("SHA-256 of the set"),
        max_length=64,
        blank=True,
        help_text=_("Of the films' pixels and labels. Empty if the films were not at hand."),
    )
    n = models.PositiveIntegerField(_("X-rays"))
    figures = models.JSONField(_("figures"))
    note = models.TextField(_("note"), blank=True)
    measured_on = models.DateField(_("measured on"))
    recorded_at = models.DateTimeField(_("recorded at"), auto_now_add=True)

    class Meta:
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")
        ordering: ClassVar = ["measured_on", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "title"], name="mlcore_evaluation_title"),
            models.UniqueConstraint(
                fields=["version", "data_sha256"],
                condition=~models.Q(data_sha256=""),
                name="mlcore_evaluation_films",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def decision(self) -> dict[str, Any] | None:
        """The figures of the rule of decision; None if they were not measured."""
        return self.figures.get("decision")
