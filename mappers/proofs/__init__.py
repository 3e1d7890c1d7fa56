"""Proofs over a quantised network: intervals through the cells' own programs, reachable states, and witnesses where a proof fails."""
