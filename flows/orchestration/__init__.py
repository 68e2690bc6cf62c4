"""Prefect: servers, worker, deployments, pages of runs, notifications."""
