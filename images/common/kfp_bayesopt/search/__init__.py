"""What `init` and `update` share: the engines that propose trials, and their saved state."""
