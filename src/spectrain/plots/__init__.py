"""Pictures of what a model does, drawn without a display: a light part X.py, and its matplotlib sheet X_sheet.py."""
