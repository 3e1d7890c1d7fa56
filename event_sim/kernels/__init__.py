"""Compiled inner loops. Nothing outside this folder imports numba, and nobody imports this folder before a kernel is needed."""
