//! One implementation of the store over a tiny key-value seam.
