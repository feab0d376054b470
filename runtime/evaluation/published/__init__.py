"""Evaluation on published benchmarks, in their own file formats, of a model of any size."""
