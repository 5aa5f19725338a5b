"""The report of a study: one page of HTML that holds all of its trials, and says what they mean."""
