"""Check the locked requirements for known vulnerabilities, and fail if there are any.

If the advisories cannot be fetched (no network, a mirror without them), it prints that nothing was
checked and passes, because this is not a fault of the code.
"""

import json
import subprocess
import sys
from pathlib import Path

AUDIT = Path(sys.prefix, "bin", "pip-audit")
# The largest lock, of which the smaller ones are parts, version by version; and Node.js.
FILES = ("requirements-dev.txt", "requirements-node.txt")


def audit(file: str) -> list[dict] | None:
    """Return the advisories on each requirement of `file`, or None if they cannot be fetched."""
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
    found = []
    for file in FILES:
        answers = audit(file) or []
        asked = [answer for answer in answers if "skip_reason" not in answer]
        if asked:
            print(f"{file}: {len(asked)} of {len(answers)} requirements checked.")
        else:
            print(f"NOT CHECKED: the advisories on {file} could not be fetched.")
        found += [
            f"{answer['name']} {answer['version']}: {known['id']}, "
            f"fixed in {', '.join(known['fix_versions']) or 'no version yet'}"
            for answer in asked
            for known in answer["vulns"]
        ]
    print("\n".join(found or ["No known vulnerability in what was checked."]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
