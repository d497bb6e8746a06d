//! How a failure is told, by where it happened: each surface has words of its own, and the root is AgentOS'.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError};

use super::problem::Problem;
use super::{everruns, triage};

/// Tells a problem.
pub(super) type Dress = fn(&Problem) -> HttpResponse;

/// Who owns what is below a path; the first that fits counts.
const DRESSES: [(&str, Dress); 2] =
    [("/v1/triage", triage::error::response), ("/v1", everruns::error::response)];

/// How failures below this path are told.
pub(super) fn of(path: &str) -> Dress {
    let fits = |(root, _): &&(&str, Dress)| is_below(path, root);
    DRESSES.iter().find(fits).map_or(Problem::error_response, |(_, dress)| *dress)
}

/// Whether a path is this one, or below it.
pub(super) fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Tells what reading and guarding found wrong in the words of the surface that was asked.
pub(super) async fn dress(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let dress = of(request.path());
    match next.call(request).await {
        Ok(response) => {
            let error = response.response().error();
            match error.and_then(|error| error.as_error::<Problem>()).map(dress) {
                Some(dressed) => Ok(ServiceResponse::new(response.into_parts().0, dressed)),
                None => Ok(response.map_into_boxed_body()),
            }
        }
        Err(mut error) => {
            if let Some(problem) = error.as_error::<Problem>().cloned() {
                // Nothing has been added yet to what it would be told as.
                error.add_response_mapper(move |_| dress(&problem));
            }
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surface_owns_whole_names_only() {
        assert!(is_below("/v1/triage", "/v1/triage"));
        assert!(is_below("/v1/triage/issues", "/v1/triage"));
        assert!(!is_below("/v1/triages", "/v1/triage"));
        assert!(!is_below("/agents/v1/triage", "/v1/triage"));
    }
}
