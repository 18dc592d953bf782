"""The forms of the discussion board."""

import copy
import uuid
from typing import TYPE_CHECKING, Any, Self

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from forum import personal_data
from forum.models import MAX_BODY, MAX_TITLE, Category, Member, Topic

if TYPE_CHECKING:
    from accounts.models import User

LOOKS_LIKE_PATIENT = "looks-like-patient"


class PostForm(forms.Form):
    """A post. Possible patient data in it must be confirmed before it is posted.

    The confirmation is a separate button (`confirmed`) whose value is a hash of the text, so that
    it does not apply to a text edited afterwards.
    """

    body = forms.CharField(
        label=_("Text"),
        max_length=MAX_BODY,
        widget=forms.Textarea(attrs={"rows": 6, "class": "form-control", "data-editor": True}),
    )
    submission = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    confirmed = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, author: "User", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.author = author
        self.warnings: list[str] = []
        self.seal = ""

    def clean_body(self) -> str:
        body = self.cleaned_data["body"].replace("\r\n", "\n")
        if not body.strip():
            raise ValidationError(_("Enter some text."), code="required")
        return body

    def unsent(self) -> Self:
        """Return an unbound copy of the form with the entered data and no errors."""
        fresh = copy.copy(self)
        fresh.initial, fresh.is_bound = dict(self.data.items()), False
        return fresh

    def text(self) -> str:
        """Return all text that would be published."""
        return str(self.cleaned_data.get("body", ""))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        text = self.text()
        self.seal = personal_data.seal(text)
        if cleaned.get("confirmed") == self.seal:
            return cleaned
        self.warnings = personal_data.warnings(self.author, text)
        if self.warnings:
            raise ValidationError(
                _("This text may contain patient data, so it has not been posted yet."),
                code=LOOKS_LIKE_PATIENT,
            )
        return cleaned


class TopicForm(PostForm):
    """A new topic: category, title and first post."""

    category = forms.ModelChoiceField(
        label=_("Category"),
        queryset=Category.objects.none(),
        empty_label=_("Choose a category"),
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    title = forms.CharField(
        label=_("Title"),
        max_length=MAX_TITLE,
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off"}),
    )

    field_order = ["category", "title", "body"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        category = self.fields["category"]
        assert isinstance(category, forms.ModelChoiceField)  # noqa: S101 - for the type checker
        category.queryset = Category.objects.open_to(self.author)

    def clean_title(self) -> str:
        return " ".join(self.cleaned_data["title"].split())

    def text(self) -> str:
        return f"{self.cleaned_data.get('title', '')}\n{super().text()}"


class EditForm(PostForm):
    """An edited post, with the version it is based on; the first post includes the title."""

    title = forms.CharField(
        label=_("Title"),
        max_length=MAX_TITLE,
        required=False,
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off"}),
    )
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    field_order = ["title", "body"]

    def __init__(self, *args: Any, has_title: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["submission"]
        if has_title:
            self.fields["title"].required = True
        else:
            del self.fields["title"]

    def clean_title(self) -> str:
        return " ".join(self.cleaned_data["title"].split())

    def text(self) -> str:
        return f"{self.cleaned_data.get('title', '')}\n{super().text()}"


class MoveForm(forms.Form):
    """The category that a topic is moved to."""

    category = forms.ModelChoiceField(
        label=_("Category"),
        queryset=Category.objects.none(),
        widget=forms.Select(attrs={"class": "form-select form-select-sm"}),
    )

    def __init__(self, *args: Any, topic: Topic, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        category = self.fields["category"]
        assert isinstance(category, forms.ModelChoiceField)  # noqa: S101 - for the type checker
        category.queryset = Category.objects.filter(Q(is_closed=False) | Q(pk=topic.category_id))


class MailForm(forms.Form):
    """How often a user gets emails."""

    mail = forms.ChoiceField(
        label=_("Email notifications"),
        choices=Member.Mail.choices,
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )


class PictureForm(forms.Form):
    """An image to add to a post."""

    picture = forms.FileField(
        label=_("Image"),
        widget=forms.ClearableFileInput(
            attrs={"accept": "image/jpeg,image/png,image/webp", "class": "form-control"}
        ),
    )
