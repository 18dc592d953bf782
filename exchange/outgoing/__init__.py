"""Results as DICOM objects, and the targets that they are sent to."""
