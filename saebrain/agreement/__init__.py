"""Agreement of annotators: Cohen's and Fleiss' kappa, Krippendorff's alpha and their kin, with intervals."""

GOAL = 0.74
"""The kappa that arXiv:2605.23035 reports."""
