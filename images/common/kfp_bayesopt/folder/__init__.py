"""The study folder: its documents, trials and jobs, and the results that follow from them."""
