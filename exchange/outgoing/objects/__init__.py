"""The DICOM objects of a reading: bytes from a reading, without network and without state."""
