"""Edit requests: their fields, validation, and one reader a file format."""
