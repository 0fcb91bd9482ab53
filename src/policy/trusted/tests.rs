//! What is trusted, one condition at a time.
