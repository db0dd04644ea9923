"""Measurements of the product on real hosts, each beside its peer or the physical limit."""
