"""Resolution of @mentions to users."""

import re
import unicodedata
from collections import defaultdict

from accounts.models import User

MAX_MENTIONS = 20
MAX_NAME = 80
# A letter before the @ makes it an e-mail address, except a Chinese one: Chinese has no spaces.
AT = re.compile(r"(?<![^\W\u3400-\u4dbf\u4e00-\u9fff])(?<![.@])@(?=\S)")
# Completion adds an account number to names that several people share: @name#12.
NUMBER = re.compile(r"#(\d{1,9})")


def mentioned_in(text: str) -> dict[str, User]:
    """Return the mentioned users by the text that follows the @.

    The longest matching name wins. A name that several people share matches only with an account
    number (`@name#12`). At most `MAX_MENTIONS` users are returned.
    """
    starts = [text[match.end() : match.end() + MAX_NAME] for match in AT.finditer(text)]
    starts = starts[: 2 * MAX_MENTIONS]
    people = _people({start[:length] for start in starts for length in range(1, len(start) + 1)})
    found: dict[str, User] = {}
    for start in starts:
        written, user = _meant(start, people)
        if user is not None and len(found) < MAX_MENTIONS:
            found[written] = user
    return found


def _people(names: set[str]) -> dict[str, list[User]]:
    people: dict[str, list[User]] = defaultdict(list)
    if names:
        approved = User.objects.filter(approval=User.Approval.APPROVED, is_active=True)
        for user in approved.filter(display_name__in=names):
            people[user.display_name].append(user)
    return people


def _meant(start: str, people: dict[str, list[User]]) -> tuple[str, User | None]:
    for length in range(len(start), 0, -1):
        name = start[:length]
        if name not in people or _goes_on(name, start[length:]):
            continue
        number = NUMBER.match(start[length:])
        if number is not None:
            same = [user for user in people[name] if user.pk == int(number[1])]
            if same:
                return name + number[0], same[0]
        if len(people[name]) == 1:
            return name, people[name][0]
        return "", None
    return "", None


def _goes_on(name: str, rest: str) -> bool:
    """Return whether the word continues after the name; Chinese words have no spaces."""
    if not rest or not (rest[0].isalnum() and name[-1].isalnum()):
        return False
    return not (_is_cjk(name[-1]) or _is_cjk(rest[0]))


def _is_cjk(character: str) -> bool:
    return unicodedata.name(character, "").startswith("CJK UNIFIED")


def suggestions(beginning: str, *, by: User, limit: int = 8) -> list[dict[str, str]]:
    """Return completions for a partial name: users whose name contains `beginning`.

    Names that start with it come first.

    Returns:
        Up to `limit` entries with `name`, `hospital` and `insert`, the text to insert.
    """
    beginning = beginning.strip()[:MAX_NAME]
    approved = User.objects.filter(approval=User.Approval.APPROVED, is_active=True)
    found = approved.exclude(pk=by.pk).exclude(display_name="")
    found = found.filter(display_name__icontains=beginning).order_by("display_name", "pk")
    people = sorted(
        found[: 10 * limit],
        key=lambda user: not user.display_name.casefold().startswith(beginning.casefold()),
    )[:limit]
    shared = _people({user.display_name for user in people})
    return [
        {
            "name": user.display_name,
            "hospital": user.hospital,
            "insert": user.display_name
            if len(shared[user.display_name]) == 1
            else f"{user.display_name}#{user.pk}",
        }
        for user in people
    ]
