"""Fuzz targets: what others write is read without a crash, in time, and never for a whole response that it is not."""
