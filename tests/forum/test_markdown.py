"""Markdown is rendered to safe HTML for any input."""

import html.parser
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forum.markdown import ATTRIBUTES, TAGS, picture_ids, render
from forum.models import Picture

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](//evil.example/)",
    "[x](&#106;avascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    "<a href='javascript:x'>a</a>",
    '<https://example.org/"onmouseover=alert(1)>',
    "`<script>`",
    "```\n<script>\n```",
    "[a]: javascript:alert(1)\n\n[a]",
    "<svg onload=alert(1)>",
    "<!-- --!><img src=x onerror=alert(1)>",
    "| a |\n|---|\n| <script> |",
    "<style>*{display:none}</style>",
    '!["><script>alert(1)</script>](/forum/pictures/00000000-0000-0000-0000-000000000000/)',
]


class _Reader(html.parser.HTMLParser):
    """Collects what a browser would parse as tags."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in TAGS:
            self.bad.append(tag)
        for name, value in attrs:
            if name not in ATTRIBUTES.get(tag, set()) and not (tag == "span" and name == "class"):
                self.bad.append(f"{tag} {name}")
            if name == "href" and not (value or "").lower().startswith(
                ("http://", "https://", "mailto:", "/", "#")
            ):
                self.bad.append(f"href {value}")
            if name == "src" and not (value or "").startswith("/forum/pictures/"):
                self.bad.append(f"src {value}")

    handle_startendtag = handle_starttag

    def handle_comment(self, data):
        self.bad.append("comment")


def harm_in(markup: str) -> list[str]:
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    return reader.bad


@pytest.mark.parametrize("body", HOSTILE)
def test_hostile_markup_is_removed(body):
    shown = render(body, pictures={}, names=["x"])
    assert harm_in(shown) == []
    assert "//evil" not in shown.replace("[x](//evil.example/)", "")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*HOSTILE, "*", "**", "`", "\n\n", "> ", "- ", "[", "](", ")", "<", ">", "@x", "&lt;",
             "\"", "'", "# ", "|", "~~", "http://", "\\", "x", "&#x3c;", "\x00", "‮"]
        ),
        max_size=25,
    ).map("".join)
)  # fmt: skip
def test_no_mixture_of_fragments_is_unsafe(body):
    assert harm_in(render(body, pictures={}, names=["x", "<b>"])) == []


def test_external_links_open_safely_and_internal_ones_stay():
    out = render("https://example.org/a and [here](/forum/3/)", pictures={})
    assert 'rel="nofollow ugc noopener noreferrer"' in out
    assert 'target="_blank"' in out
    assert '<a href="/forum/3/">here</a>' in out


def test_common_markdown_is_rendered():
    shown = render(
        "## Head\n\n1. a\n2. b\n\n~~no~~ `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> q",
        pictures={},
    )
    for part in ("<h4>", "<ol>", "<s>no</s>", "<code>", "<table>", "<blockquote>"):
        assert part in shown


def test_a_mention_is_highlighted_except_in_code_and_links():
    shown = render("@王怡君 `@王怡君` [@王怡君](/x/)", pictures={}, names=["王怡君"])
    assert shown.count('<span class="mention">@王怡君</span>') == 1


def test_only_the_posts_own_pictures_are_shown():
    known, other = Picture(width=60, height=40), uuid.uuid4()
    body = f"![a film]({known.get_absolute_url()}) ![b](/forum/pictures/{other}/)"
    shown = render(body, pictures={known.pk: known})
    assert f'src="/forum/pictures/{known.pk}/" alt="a film" width="60" height="40"' in shown
    assert str(other) not in shown
    assert picture_ids(body) == [known.pk, other]


def test_deep_nesting_is_bounded():
    assert harm_in(render("> " * 5000 + "x", pictures={})) == []
    assert harm_in(render("[" * 5000, pictures={})) == []
