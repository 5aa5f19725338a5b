"""What a study leaves in other services of Vertex AI: runs of its Experiments, and versions in its Model Registry."""
