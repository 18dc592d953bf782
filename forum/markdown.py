"""Rendering of Markdown to safe HTML: no raw HTML, no images from other sites.

markdown-it-py renders CommonMark with tables, strikethrough and bare links. nh3 then removes
everything that is not listed here, so that a fault in one of the two is caught by the other.
"""

import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

import nh3
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt
from markdown_it.token import Token

from forum import spoilers
from forum.models import Picture

TAGS = {
    "a", "blockquote", "br", "code", "del", "details", "em", "h3", "h4", "h5", "h6", "hr", "img",
    "li", "ol", "p", "pre", "s", "span", "strong", "summary", "table", "tbody", "td", "th", "thead",
    "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "title", "target", "rel"},
    "img": {"src", "alt", "width", "height", "loading"},
    "ol": {"start"},
}
CLASSES = {
    "a": {"picture-link"}, "details": {"spoiler"}, "span": {"mention", "picture-gone"}
}  # fmt: skip
SCHEMES = {"http", "https", "mailto"}
PICTURE = re.compile(
    r"/forum/pictures/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/"
)
LINK = re.compile(r"(?i)(https?:|mailto:|/(?!/)|#)")
MAX_NESTING = 20


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": True, "maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough", "linkify"])
    spoilers.enable(parser)
    assert parser.linkify is not None  # noqa: S101 - linkify-it-py is a requirement
    parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    parser.validateLink = lambda url: LINK.match(url) is not None  # type: ignore[method-assign]
    return parser


def picture_ids(body: str) -> list[uuid.UUID]:
    """Return the IDs of the images that a text shows, without duplicates, in order."""
    found = (uuid.UUID(match) for match in PICTURE.findall(body))
    return list(dict.fromkeys(found))


def render(
    body: str, *, pictures: Mapping[uuid.UUID, Picture], names: Collection[str] = ()
) -> SafeString:
    """Return a post's text as HTML.

    Args:
        body: Markdown.
        pictures: the images that may be shown; others are replaced by a sentence.
        names: the mentions to highlight, as written after the @.
    """
    tokens = _parser().parse(body)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            # Headings in a post are below the headings of the page.
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        if token.type == "inline":
            token.children = list(_inline(token.children or [], pictures, names))
    html = _parser().renderer.render(tokens, _parser().options, {})
    clean = nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        allowed_classes=CLASSES,
        url_schemes=SCHEMES,
        link_rel=None,
    )
    return mark_safe(clean)  # noqa: S308 - sanitised by nh3


def _inline(
    tokens: Iterable[Token], pictures: Mapping[uuid.UUID, Picture], names: Collection[str]
) -> Iterable[Token]:
    in_link = 0
    for token in tokens:
        if token.type == "link_open":
            in_link += 1
            _open_safely(token)
        elif token.type == "link_close":
            in_link -= 1
        if token.type == "image":
            yield _raw(_picture(token, pictures, is_linked=in_link > 0))
        elif token.type == "text" and names and not in_link:
            yield from _set_off(token.content, names)
        else:
            yield token


def _open_safely(token: Token) -> None:
    """Open external links in a new tab without access to this one."""
    if not str(token.attrs.get("href", "")).startswith(("/", "#")):
        token.attrs |= {"rel": "nofollow ugc noopener noreferrer", "target": "_blank"}


def _picture(token: Token, pictures: Mapping[uuid.UUID, Picture], *, is_linked: bool) -> str:
    """Return an image with a link to its own page, unless it is in a link already."""
    source = str(token.attrs.get("src", ""))
    match = PICTURE.fullmatch(source)
    if match is None:
        return _gone(_("Images from other websites are not shown."))
    picture = pictures.get(uuid.UUID(match[1]))
    if picture is None:
        return _gone(_("This image cannot be shown."))
    if picture.withdrawn_at is not None:
        return _gone(_("This image was withdrawn by its author."))
    image = (
        f'<img src="{escape(reverse("forum:picture", args=[picture.pk]))}"'
        f' alt="{escape(token.content)}" width="{picture.width}" height="{picture.height}"'
        ' loading="lazy">'
    )
    if is_linked:
        return image
    page = escape(reverse("forum:picture_page", args=[picture.pk]))
    return f'<a class="picture-link" href="{page}" title="{escape(_("Open large"))}">{image}</a>'


def _gone(text: str) -> str:
    return f'<span class="picture-gone">{escape(text)}</span>'


def _raw(html: str) -> Token:
    return Token("html_inline", "", 0, content=html)


def _set_off(text: str, names: Collection[str]) -> Sequence[Token]:
    """Return the text as tokens with each `@name` highlighted."""
    any_name = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    pieces = re.split(rf"(@(?:{any_name}))", text)
    return [_piece(piece, is_mention=bool(index % 2)) for index, piece in enumerate(pieces)]


def _piece(text: str, *, is_mention: bool) -> Token:
    if is_mention:
        return _raw(f'<span class="mention">{escape(text)}</span>')
    return Token("text", "", 0, content=text)


def label(text: str) -> str:
    """Return the text on one line, without characters that would end a link's label."""
    return " ".join(text.translate(str.maketrans("", "", "[]\\<>`")).split())
