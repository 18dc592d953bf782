DATE_FORMAT = SHORT_DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "Y-m-d H:i"
TIME_FORMAT = "H:i"
YEAR_MONTH_FORMAT = "Y 年 n 月"
MONTH_DAY_FORMAT = "n 月 j 日"

# Django groups four digits in this language and separates them by nothing.
THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3

# Not Django's own settings: read by `xraysite.common.dates`.
LONG_DATE_FORMAT = "Y 年 n 月 j 日"
LONG_DATETIME_FORMAT = "Y 年 n 月 j 日 H:i"
