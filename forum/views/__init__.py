"""The pages of the board. Each asks a service or a queryset, and renders."""
