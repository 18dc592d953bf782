"""What people write, report and decide on the board."""

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
    """A text. What looks like a patient's in it has to be confirmed before it is posted.

    The confirmation is sent by a button of its own (`confirmed`), and is bound to the text.
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
        body = self.cleaned_data["body"].replace("\r\n", "\n").replace("\x00", "")
        if not body.strip():
            raise ValidationError(_("Write something first."), code="required")
        return body

    def unsent(self) -> Self:
        """Returns the form with what was written in it, as if nobody had tried to send it."""
        fresh = copy.copy(self)
        fresh.initial, fresh.is_bound = dict(self.data.items()), False
        return fresh

    def text(self) -> str:
        """Returns all that will be seen of it."""
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
                _("This may hold a patient's data, so it is not posted yet."),
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
        category.queryset = Category.objects.filter(is_closed=False)

    def clean_title(self) -> str:
        return " ".join(self.cleaned_data["title"].split())

    def text(self) -> str:
        return f"{self.cleaned_data.get('title', '')}\n{super().text()}"


class EditForm(PostForm):
    """A changed text, and the version that it was made from; of a first post, the title too."""

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
    """Where a topic is to be moved."""

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
    """Which mails somebody wants."""

    mail = forms.ChoiceField(
        label=_("Mails about the board"),
        choices=Member.Mail.choices,
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )


class PictureForm(forms.Form):
    """A picture that somebody wants to post."""

    picture = forms.FileField(
        label=_("Picture"),
        widget=forms.ClearableFileInput(
            attrs={"accept": "image/jpeg,image/png,image/webp", "class": "form-control"}
        ),
    )
