"""Where jobs run: Vertex AI Pipelines and KFP clusters."""
