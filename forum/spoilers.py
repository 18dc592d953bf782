"""Parts of a post that the reader opens: `:::spoiler Title`, the text, and `:::` on a line.

A shared case keeps the model's result in one, so that colleagues look at the X-ray first. Hence
previews, search and its excerpts leave the text out.
"""

import re

from django.utils.html import escape
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock

OPENING = re.compile(r":::\s*spoiler(?:\s+(?P<title>.+))?", re.IGNORECASE)
CLOSING = ":::"
# The same in a text that is not parsed; a quotation's marks may come first.
WHOLE = re.compile(
    r"^[>\s]*:::[ \t]*spoiler[ \t]*(?P<title>[^\n]*)$(?:.*?)(?:^[>\s]*:::[ \t]*$|\Z)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)


def written(title: str, text: str) -> str:
    """Return a spoiler in Markdown."""
    return f":::spoiler {title}\n{text}\n{CLOSING}"


def removed(body: str) -> str:
    """Return a text with only the titles of its spoilers."""
    return WHOLE.sub(lambda match: f"\n{match['title']}…\n", body)


def enable(parser: MarkdownIt) -> None:
    """Add spoilers to a parser."""
    ends = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("fence", "spoiler", _rule, ends)  # type: ignore[arg-type]


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].strip()


def _rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a spoiler; one that is not closed ends with the text or quotation around it."""
    opening = OPENING.fullmatch(_line(state, start))
    if opening is None or state.is_code_block(start):
        return False
    if silent:
        return True
    last = start + 1
    while last < end and not _ends(state, last):
        last += 1
    title = (opening["title"] or "").strip() or _("Spoiler")
    state.push("spoiler_open", "details", 1).attrSet("class", "spoiler")
    state.push("html_block", "", 0).content = f"<summary>{escape(title)}</summary>\n"
    line_max, state.lineMax = state.lineMax, last
    state.md.block.tokenize(state, start + 1, last)
    state.lineMax = line_max
    state.push("spoiler_close", "details", -1)
    is_closed = last < end and _line(state, last) == CLOSING
    state.line = last + 1 if is_closed else last
    return True


def _ends(state: StateBlock, number: int) -> bool:
    is_outside = state.sCount[number] < state.blkIndent and not state.isEmpty(number)
    return is_outside or _line(state, number) == CLOSING
