//! What the tests stand on.

pub(crate) mod board;
pub(crate) mod model_server;
pub(crate) mod server;
pub(crate) mod steady;
