"""The stores of study folders: a disk, and Cloud Storage."""
