"""From recipe, files, flags and overrides to one typed, checked configuration that knows where each value came from."""
