"""Sparse autoencoders: architectures, training, file formats and quality figures."""
