//! Who calls: put into the request by the bearer middleware, taken out by handlers.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::problem::Problem;
use crate::access::{Principal, Role};
use crate::domain::id::Owner;

/// Who calls. Only the bearer middleware makes one, so whoever holds one was let in.
#[derive(Debug, Clone)]
pub struct Caller(Principal);

impl Caller {
    /// Somebody whose token was checked.
    pub(super) fn new(principal: Principal) -> Self {
        Self(principal)
    }

    /// Whose data the caller sees.
    pub fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.0
    }

    /// Whether the caller may give agents and sessions capabilities of a high risk.
    pub fn is_admin(&self) -> bool {
        self.0.role == Role::Admin
    }

    /// The name of the token, for logs.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        ready(caller.ok_or_else(|| Problem::unauthorized("Authorization header required")))
    }
}
