"""What a page costs: its bytes, requests to others, and how much it moves while it loads."""

import gzip
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles import finders
from playwright.sync_api import Page

MAX_BYTES = 300_000
MAX_SHIFT = 0.02
# Films are as large as they are, and the viewer has a budget of its own.
NOT_COUNTED = ("/film/", "/pixels/", "/heatmap/", "/lungs/", "/avatar/", "viewer")

# Entries of layout shifts arrive in a task of their own.
MEASURED = """async () => {
  let shift = 0;
  const moved = new Set();
  const nameOf = (node) => `${node?.nodeName?.toLowerCase()}.${node?.className ?? ""}`;
  const seen = (list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      shift += entry.value;
      for (const { node, previousRect: from, currentRect: to } of entry.sources) {
        moved.add(`${nameOf(node)} from ${from.x},${from.y} to ${to.x},${to.y}`);
      }
    }
  };
  const observer = new PerformanceObserver(seen);
  observer.observe({ type: "layout-shift", buffered: true });
  await new Promise((resolve) => setTimeout(resolve, 20));
  seen({ getEntries: () => observer.takeRecords() });
  observer.disconnect();
  const entries = ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type));
  const loaded = entries.map((entry) => [entry.name, entry.decodedBodySize]);
  return { shift, moved: [...moved], loaded };
}"""


@cache
def static_size(name: str) -> int:
    """Return the bytes of a static file as it is sent: compressed, as `collectstatic` stores it."""
    found = finders.find(name)
    assert isinstance(found, str), name
    content = Path(found).read_bytes()
    return min(len(content), len(gzip.compress(content, compresslevel=9)))


def size_of(url: str, bytes_received: int) -> int:
    """Return the bytes to count: static files compressed, everything else as it came."""
    path = urlsplit(url).path
    if any(each in path for each in NOT_COUNTED):
        return 0
    if path.startswith(settings.STATIC_URL):
        return static_size(path.removeprefix(settings.STATIC_URL))
    return bytes_received


def exceeded(page: Page, site: str) -> list[str]:
    """Return in which ways the page that is open exceeds its budget."""
    measured = page.evaluate(MEASURED)
    loaded = [each for each in measured["loaded"] if each[0].startswith("http")]
    wrong = [f"loads {url}" for url, _ in loaded if not url.startswith(f"{site}/")]
    total = sum(size_of(url, count) for url, count in loaded if url.startswith(site))
    if total > MAX_BYTES:
        wrong.append(f"takes {total} bytes")
    if measured["shift"] > MAX_SHIFT:
        moved = "; ".join(measured["moved"])
        wrong.append(f"moves by {measured['shift']:.3f} while it loads: {moved}")
    return wrong
