"""The one loop and what is applied to a model from outside; trained models and ensembles, their tests and probes.

Also here: what a training must know of its data before it begins, as statistics and facts of labels.
"""
