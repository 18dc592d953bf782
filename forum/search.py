"""Full-text search of titles and posts, behind one function for SQLite (FTS5) and PostgreSQL.

Neither cuts Chinese into words. So each text is cut here: a run of Chinese becomes its overlapping
pairs of characters, other scripts their words, each spelled in ASCII, so that any two characters
in a row are found and both databases see the same tokens. A longer run is a phrase of pairs.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.db import connection

if TYPE_CHECKING:
    from forum.models import Post

TABLE = "forum_search"
LIMIT = 500  # of one search, the newest posts
MAX_QUERY = 200
MAX_TERMS = 10
CJK = (
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
# Letters and digits of one kind in a row: Chinese, kana and hangul, or anything else.
RUN = re.compile(rf"(?P<cjk>[{CJK}]+)|(?P<word>(?:(?![{CJK}])[^\W_])+)")
MAX_WORD = 40


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each run of letters, folded, and whether it is Chinese."""
    for match in RUN.finditer(unicodedata.normalize("NFKC", text).casefold()):
        yield match[0], match["cjk"] is not None


def _pair(characters: str) -> str:
    """Spell one or two characters in letters and digits, all of them equally long."""
    return "c" + "".join(f"{ord(character):06x}" for character in characters)


def _word(word: str) -> str:
    word = word[:MAX_WORD]
    return f"w{word}" if word.isascii() else "x" + "".join(f"{ord(one):06x}" for one in word)


def tokens_of(text: str) -> str:
    """Return the tokens of a text in their order, with spaces between."""
    tokens: list[str] = []
    for run, is_chinese in _runs(text):
        if is_chinese:
            # The last character stands alone, so that a single one is found wherever it is.
            tokens.extend(_pair(run[at : at + 2]) for at in range(len(run)))
        else:
            tokens.append(_word(run))
    return " ".join(tokens)


def _terms(words: str) -> list[tuple[list[str], bool]]:
    """Return what to look for: phrases of tokens, and whether the last is only a beginning."""
    terms: list[tuple[list[str], bool]] = []
    for run, is_chinese in _runs(words[:MAX_QUERY]):
        if not is_chinese:
            terms.append(([_word(run)], True))
        elif len(run) == 1:
            terms.append(([_pair(run)], True))
        else:
            terms.append(([_pair(run[at : at + 2]) for at in range(len(run) - 1)], False))
    return terms[:MAX_TERMS]


def matching(words: str) -> list[int]:
    """Return the keys of the posts that hold every word of `words`, newest first.

    Without regard to case and width. Of many, the newest `LIMIT`. Words without a letter or digit
    find nothing. Whether somebody may see them is for the caller to ask.
    """
    terms = _terms(words)
    if not terms:
        return []
    sql, query = _statement(terms)
    with connection.cursor() as cursor:
        cursor.execute(sql, [query, LIMIT])
        return [key for (key,) in cursor.fetchall()]


def _statement(terms: list[tuple[list[str], bool]]) -> tuple[str, str]:
    if connection.vendor == "postgresql":
        phrases = (
            "(" + " <-> ".join(phrase) + (":*" if is_beginning else "") + ")"
            for phrase, is_beginning in terms
        )
        where = "tokens @@ to_tsquery('simple', %s)"
        return _select("post_id", where), " & ".join(phrases)
    phrases = (
        '"' + " ".join(phrase) + '"' + ("*" if is_beginning else "")
        for phrase, is_beginning in terms
    )
    return _select("rowid", f"{TABLE} MATCH %s"), " AND ".join(phrases)


def _select(key: str, where: str) -> str:
    return f"SELECT {key} FROM {TABLE} WHERE {where} ORDER BY {key} DESC LIMIT %s"  # noqa: S608


def refresh(post: "Post", *, title: str) -> None:
    """Make the index hold a post as it stands now: found by its text, or not at all.

    Args:
        title: the topic's, which is found through the first post.
    """
    forget([post.pk])
    if not post.is_standing or post.topic.is_hidden:
        return
    put([(post.pk, text_of(post, title=title))])


def text_of(post: "Post", *, title: str) -> str:
    """Return what a post is found by."""
    return f"{title}\n{post.body}" if post.number == 1 else post.body


def clear() -> None:
    """Empty the index."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TABLE}")  # noqa: S608


def put(texts: list[tuple[int, str]]) -> None:
    """Add posts to the index, by key and text; those keys must not be in it."""
    rows = [(key, tokens_of(text)) for key, text in texts]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.executemany(
                f"INSERT INTO {TABLE} (post_id, tokens) VALUES (%s, to_tsvector('simple', %s))",  # noqa: S608
                rows,
            )
        else:
            cursor.executemany(f"INSERT INTO {TABLE} (rowid, tokens) VALUES (%s, %s)", rows)  # noqa: S608


def forget(keys: list[int]) -> None:
    """Take posts out of the index."""
    column = "post_id" if connection.vendor == "postgresql" else "rowid"
    with connection.cursor() as cursor:
        cursor.executemany(
            f"DELETE FROM {TABLE} WHERE {column} = %s",  # noqa: S608
            [(key,) for key in keys],
        )


def create_index(apps: object, schema_editor: object) -> None:
    """Make the table of the index; called by a migration."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"CREATE TABLE {TABLE} (post_id bigint PRIMARY KEY, tokens tsvector NOT NULL)"
            )
            cursor.execute(f"CREATE INDEX {TABLE}_tokens ON {TABLE} USING gin (tokens)")
        else:
            # Beginnings of words by their first letters, and a single Chinese character.
            cursor.execute(f"CREATE VIRTUAL TABLE {TABLE} USING fts5(tokens, prefix='2 3 7')")


def drop_index(apps: object, schema_editor: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}")
