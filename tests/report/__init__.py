"""Tests of dse/report on synthetic study folders."""
