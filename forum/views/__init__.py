"""The views of the discussion board; each calls a service or queryset and renders."""
