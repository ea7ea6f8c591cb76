"""Inference: nulls for autocorrelated series, noise ceilings, group tests, baselines, topography. Arrays in, arrays out."""
