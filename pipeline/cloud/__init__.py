"""Studies on Kubeflow and Vertex; the only place that knows kfp and aiplatform."""
