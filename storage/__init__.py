"""The lake: artifacts, their files and their lineage."""
