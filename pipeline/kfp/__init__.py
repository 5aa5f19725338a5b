"""The pipeline of a study, its compiler, and its run on this machine; the only place that knows the SDK of KFP."""
