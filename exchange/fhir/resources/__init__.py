"""Resources of FHIR R4 as JSON objects, each built from the records of readings."""
