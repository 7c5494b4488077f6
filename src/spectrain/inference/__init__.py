"""What is done with a trained model: maps, embeddings and their page, exports, and the import of published weights."""
