"""Names of what the server tells the site in a request's WSGI environment.

Clients cannot set them: what they send has names that start with `HTTP_`.
"""

# Seconds for which an upload waited for one of the threads for uploads. Missing in requests that
# one of the threads for pages answers.
WAITED = "xraysite.waited"
