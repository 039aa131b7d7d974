"""Tests of dse/export: every file agrees with the integer network, and a damaged one does not."""
