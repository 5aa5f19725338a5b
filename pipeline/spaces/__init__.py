"""Search spaces of other services: Katib's Experiment and Vertex AI's StudySpec, in both directions."""
