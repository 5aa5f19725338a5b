"""S3, Azure and what speaks as they do, through obstore: what they share, and a file for each."""
