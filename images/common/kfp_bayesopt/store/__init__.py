"""The stores of study folders: a disk, Cloud Storage, S3 and Azure."""
