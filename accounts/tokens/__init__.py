"""Tokens for programs and devices: an account's access without a browser, for named scopes."""
