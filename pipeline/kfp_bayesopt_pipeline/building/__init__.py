"""From the folder of a study to the image that evaluates its trials."""
