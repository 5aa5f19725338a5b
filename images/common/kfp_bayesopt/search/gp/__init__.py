"""The parts of the engine `gp`."""
