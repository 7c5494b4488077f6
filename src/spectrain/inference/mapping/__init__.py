"""How `spectrain predict` maps a scene: windows and how they are joined, the models that look, the files of a map."""
