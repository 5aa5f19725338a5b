"""Where study folders are kept: a disk, and Cloud Storage."""
