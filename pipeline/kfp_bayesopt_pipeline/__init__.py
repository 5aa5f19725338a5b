"""Runs studies: in this process, in compose, and on Kubeflow and Vertex."""
