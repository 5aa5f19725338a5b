"""The report of a study: one HTML page with all of its trials and advice on them."""
