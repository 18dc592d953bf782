"""FHIR R4: readings as resources of the health record."""
