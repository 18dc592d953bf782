"""Films that arrive over the DICOM network, and the rules that route them."""
