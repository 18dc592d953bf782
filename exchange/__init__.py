"""Exchange with the hospital's other systems: X-ray machines, archives, records, other programs.

Each package is an app of its own: `incoming` (films over DICOM, and whose worklist they go to),
`orders` (the modality worklist, watched folders), `outgoing` (results as DICOM objects),
`dicomweb`, `fhir` and `api` (interfaces for programs with a token of `accounts.tokens`), and
`deidentify` (export without identifiers). They use the services that the pages use.
"""
