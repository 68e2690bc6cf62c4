"""Knowledge editing for language models as a cached, reproducible data pipeline.

The four packages are folders at the top of the repository; links bring them under one name.
"""
