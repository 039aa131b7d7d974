"""Tests of the integer arithmetic."""
