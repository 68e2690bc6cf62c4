"""Everything from outside: corpora, edit requests, packaged data and remote files."""
