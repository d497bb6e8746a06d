//! Floor 5, the surfaces: a folder is a surface, a file is what surfaces share.
