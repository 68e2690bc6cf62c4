"""What a command reads, prints and writes, and how it ends."""
