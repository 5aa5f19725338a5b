"""The Python interface: ask and tell, run a study here, read what a study has come to."""
