"""Artifacts: identity, kinds, manifests, payloads and their store."""
