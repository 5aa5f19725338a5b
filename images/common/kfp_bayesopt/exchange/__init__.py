"""What others write and read: search spaces, tables and storages."""
