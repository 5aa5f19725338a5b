"""The search: engines that propose trials, and the space as columns of numbers."""
