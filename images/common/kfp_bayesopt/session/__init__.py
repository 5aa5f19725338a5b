"""A study that is open, with its job: how it is opened, followed and shown."""
