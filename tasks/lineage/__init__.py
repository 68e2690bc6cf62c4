"""Upstream and downstream artifacts, and everything that depends on a fact or document."""
