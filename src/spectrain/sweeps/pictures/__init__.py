"""Pictures of a sweep as SVG, each drawn for a wide page and for a phone."""
