"""Edit requests: their fields, validation, and one reader per file format."""
