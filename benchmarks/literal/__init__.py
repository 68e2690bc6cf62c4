"""The published procedure, written from the papers, as slow as its authors' scripts. Shares no code with `editing`."""
