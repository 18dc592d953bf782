"""Export of films and readings without identifiers."""
