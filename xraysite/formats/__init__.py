"""Date formats of each language; see `FORMAT_MODULE_PATH`.

Tables use `SHORT_DATE_FORMAT` and `SHORT_DATETIME_FORMAT` (2026-11-27). `DATE_FORMAT` is the same,
because the admin's tables use it. Sentences use the filters `long_date` and `long_datetime` (27
November 2026); Python code imports them from `xraysite.common.dates`.
"""
