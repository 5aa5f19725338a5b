"""Exchange with other tools: search spaces, tables and storages."""
