"""The site: settings, URLs, and what several apps share."""

import os

# Before NumPy is imported. The matrices of one film are small: several threads gain nothing on an
# idle machine, and on a busy one they wait for each other (15 times slower, measured).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
