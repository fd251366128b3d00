"""Measurements of the running product, as ratios against peers on the same store in one run."""
