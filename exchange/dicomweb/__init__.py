"""DICOMweb: films and results for viewers and archives, and films from them."""
