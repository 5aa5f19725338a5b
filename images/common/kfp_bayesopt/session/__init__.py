"""A study that is open, with its job: opening, following and showing it."""
