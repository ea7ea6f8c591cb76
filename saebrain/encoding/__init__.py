"""Encoding models: kernel ridge regression from features to responses, each run predicted from the others.

::

    layout       which samples count, and which are held out together
    kernels      kernels of features, delayed, centred, scaled
    categories   a kernel a category, so that any selection is a sum
    holdout      predictions of held-out folds, and of pairs of folds for the choice of alpha
    score        alphas chosen, r of every target
    banded       an alpha for every band (himalaya)
"""
