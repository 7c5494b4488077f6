"""What is done with a trained model: embed, map scenes, export; and weights of other systems. A verb a file.

What a verb needs lies in a folder: `embeddings` and `explore`, `mapping`, `exports`, `weights`.
"""
