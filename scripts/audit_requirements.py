"""Asks whether a locked requirement has a known vulnerability; fails on one.

Where the advisories cannot be had (no network, a mirror without them), it says loudly that
nothing was checked: that is no failure of the code.
"""

import json
import subprocess
import sys
from pathlib import Path

AUDIT = Path(sys.prefix, "bin", "pip-audit")
FILE = "requirements-dev.txt"  # holds what the platform runs on, too


def audit(file: str) -> list[dict] | None:
    """Returns what is known of each requirement of `file`, or None where nobody could be asked."""
    try:
        run = subprocess.run(
            [AUDIT, "--requirement", file, "--no-deps", "--disable-pip", "--format", "json",
             "--progress-spinner", "off", "--timeout", "10"],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        return json.loads(run.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return None


def main() -> int:
    answers = audit(FILE) or []
    asked = [answer for answer in answers if "skip_reason" not in answer]
    if not asked:
        print(f"NOT CHECKED: no advisories could be had for {FILE}.")
        return 0
    found = [
        f"{answer['name']} {answer['version']}: {known['id']}, "
        f"mended in {', '.join(known['fix_versions']) or 'no version yet'}"
        for answer in asked
        for known in answer["vulns"]
    ]
    print("\n".join(found) or "No known vulnerability", end=" ")
    print(f"({len(asked)} of {len(answers)} requirements checked).")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
