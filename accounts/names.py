"""Which names people may go by: none that passes for somebody with a role.

Pages show roles as badges beside names. A name must not look like one, so it contains neither the
name of a role that decides about others nor symbols, and does not mix alphabets to spell either.
"""

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# Compared with the letters of a name, without case, accents and separators.
ROLE_WORDS = (
    "supervisor", "administrator", "moderator", "superuser", "webmaster", "machinelearningstaff",
    "mlstaff", "督導", "督导", "管理員", "管理员", "管理者", "管理人", "超級使用者",
    "版主", "板主", "站長", "站长", "機器學習人員", "机器学习人员",
)  # fmt: skip
# Too short to be looked for inside other words.
WHOLE_WORDS = frozenset({"admin", "admins", "sysop"})
DIGITS = str.maketrans("013457|!ıɪ", "oieastiiii")
LOOKALIKES = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")


def validate_display_name(name: str) -> None:
    """Refuse a name that could pass for the badge of a role.

    Raises:
        ValidationError: the name contains a role, a symbol, or a word of mixed alphabets.
    """
    if any(unicodedata.category(letter)[0] in "CSZ" and letter != " " for letter in name):
        raise ValidationError(
            _("Enter a name without symbols, emoji or control characters."), code="symbols"
        )
    if any(_is_mixed(word) for word in name.split()):
        raise ValidationError(
            _("Enter a name whose words each use letters of one alphabet."), code="mixed"
        )
    letters = _letters(name)
    words = {_letters(word) for word in re.split(r"[\W_]+", name)}
    if any(role in letters for role in ROLE_WORDS) or words & WHOLE_WORDS:
        raise ValidationError(
            _(
                "Enter your name without a role. The site shows roles beside names itself, so that "
                "nobody can pass for a supervisor."
            ),
            code="role",
        )


def _letters(text: str) -> str:
    """Return the letters alone, folded so that different spellings of a word are equal."""
    plain = unicodedata.normalize("NFKD", text).casefold().translate(DIGITS)
    return "".join(letter for letter in plain if letter.isalpha())


def _is_mixed(word: str) -> bool:
    names = [unicodedata.name(letter, "") for letter in word if letter.isalpha()]
    is_latin = any(name.startswith("LATIN") for name in names)
    return is_latin and any(name.startswith(LOOKALIKES) for name in names)
