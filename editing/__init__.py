"""Knowledge editing in pure torch; knows nothing of Prefect or the lake."""
