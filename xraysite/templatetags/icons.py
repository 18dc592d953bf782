"""The `{% icon %}` tag, available in every template without `{% load %}`."""

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

SPRITE = "vendor/bootstrap-icons-1.13.2/icons.svg"


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Return a decorative icon from the vendored sprite, hidden from screen readers.

    Args:
        name: the icon's name in Bootstrap Icons, such as "trash3".
        css: further classes, separated by spaces.

    Example:
        `{% icon "sun" css="theme-icon-light" %}`
    """
    return format_html(
        '<svg class="{}" width="16" height="16" fill="currentColor" aria-hidden="true" '
        'focusable="false"><use href="{}#{}"></use></svg>',
        f"icon {css}".strip(),
        static(SPRITE),
        name,
    )
