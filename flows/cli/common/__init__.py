"""Code that several commands share: the application, options, look-ups and summaries."""
