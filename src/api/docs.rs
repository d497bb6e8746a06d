//! The interface's description, and a page to read it.
use actix_web::web::ServiceConfig;
pub(super) fn configure(_routes: &mut ServiceConfig) {}
