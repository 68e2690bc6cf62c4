"""What several commands share: the application, options, look-ups and summaries."""
