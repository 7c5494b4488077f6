"""Pictures of what a model does, drawn without a display."""
