"""saebrain: which features of a language model predict which parts of cortex?"""

__version__ = "0.1.0"
