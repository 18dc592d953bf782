"""Full-text search of titles and posts on SQLite (FTS5) and PostgreSQL.

Neither database segments Chinese text, so it is tokenised here: a run of Chinese becomes its
overlapping character bigrams, other scripts become words, all encoded in ASCII. Both databases see
the same tokens, any two adjacent characters are found, and a longer query is a phrase of bigrams.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.db import connection

from forum import spoilers

if TYPE_CHECKING:
    from forum.models import Post

TABLE = "forum_search"
LIMIT = 500  # newest matching posts per search
MAX_QUERY = 200
MAX_TERMS = 10
CJK = (
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
# A run of characters of one kind: Chinese, kana and hangul, or any other letters and digits.
RUN = re.compile(rf"(?P<cjk>[{CJK}]+)|(?P<word>(?:(?![{CJK}])[^\W_])+)")
MAX_WORD = 40


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each run of letters, case-folded, and whether it is Chinese."""
    for match in RUN.finditer(unicodedata.normalize("NFKC", text).casefold()):
        yield match[0], match["cjk"] is not None


def _pair(characters: str) -> str:
    """Encode one or two characters as a fixed-length ASCII token."""
    return "c" + "".join(f"{ord(character):06x}" for character in characters)


def _word(word: str) -> str:
    word = word[:MAX_WORD]
    return f"w{word}" if word.isascii() else "x" + "".join(f"{ord(one):06x}" for one in word)


def tokens_of(text: str) -> str:
    """Return the tokens of a text in order, separated by spaces."""
    tokens: list[str] = []
    for run, is_chinese in _runs(text):
        if is_chinese:
            # The last character is also a token of its own, so that single characters are found.
            tokens.extend(_pair(run[at : at + 2]) for at in range(len(run)))
        else:
            tokens.append(_word(run))
    return " ".join(tokens)


def _terms(words: str) -> list[tuple[list[str], bool]]:
    """Return phrases of tokens, each with whether its last token is a prefix."""
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
    """Return the IDs of the posts that contain every word of `words`, newest first.

    Ignores case and character width, returns at most `LIMIT` posts, and nothing for words without
    letters or digits. The caller checks which posts the user may see.
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
    """Update the index for one post; a post that is not published is removed from it.

    Args:
        post: with its topic loaded.
        title: the topic's title, indexed with the first post.
    """
    forget([post.pk])
    if not post.is_standing or post.topic.is_hidden:
        return
    put([(post.pk, text_of(post, title=title))])


def text_of(post: "Post", *, title: str) -> str:
    """Return the text that a post is indexed by: without what its spoilers hide."""
    body = spoilers.removed(post.body)
    return f"{title}\n{body}" if post.number == 1 else body


def clear() -> None:
    """Remove every post from the index."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TABLE}")  # noqa: S608


def put(texts: list[tuple[int, str]]) -> None:
    """Add posts to the index, as (ID, text) pairs; the IDs must not be in it yet."""
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
    """Remove posts from the index."""
    column = "post_id" if connection.vendor == "postgresql" else "rowid"
    with connection.cursor() as cursor:
        cursor.executemany(
            f"DELETE FROM {TABLE} WHERE {column} = %s",  # noqa: S608
            [(key,) for key in keys],
        )


def create_index(apps: object, schema_editor: object) -> None:
    """Create the index table; called by a migration."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"CREATE TABLE {TABLE} (post_id bigint PRIMARY KEY, tokens tsvector NOT NULL)"
            )
            cursor.execute(f"CREATE INDEX {TABLE}_tokens ON {TABLE} USING gin (tokens)")
        else:
            # Prefixes of 2 and 3 characters for words, of 7 for a single Chinese character.
            cursor.execute(f"CREATE VIRTUAL TABLE {TABLE} USING fts5(tokens, prefix='2 3 7')")


def drop_index(apps: object, schema_editor: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}")
