"""Tests of quantizable networks."""
