//! What a node stores: a log, a state machine, and a way to read the latter.
