"""The published procedure, implemented literally from the papers. Shares no code with `editing`."""
