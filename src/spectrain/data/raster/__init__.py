"""Georeferenced rasters: folders of GeoTIFFs with labels, what headers say, where windows lie, what GDAL may open."""
