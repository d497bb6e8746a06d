//! Declared process tools.
