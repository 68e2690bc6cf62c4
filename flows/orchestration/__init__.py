"""Prefect itself: servers, worker, deployments, pages of runs, notifications."""
