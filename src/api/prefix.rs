//! What stands before every path, if anything does: taken off before anybody looks at a request, so that nothing behind
//! it needs to know.

use actix_web::dev::ServiceRequest;
use actix_web::http::Uri;
use actix_web::http::uri::PathAndQuery;

/// There without the prefix too, for whoever watches over the process.
const HEALTH: &str = "/health";

/// Takes the prefix off the address of a request; whether it was there.
pub(super) fn take_off(request: &mut ServiceRequest, prefix: &str) -> bool {
    if prefix.is_empty() || request.path() == HEALTH {
        return true;
    }
    let uri = request.uri();
    let address = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let Some(rest) = address.strip_prefix(prefix) else { return false };
    let address = match rest.chars().next() {
        Some('/') => rest.to_owned(),
        None | Some('?') => format!("/{rest}"),
        // Another path that begins with the same letters.
        Some(_) => return false,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = address.parse().ok();
    let Ok(uri) = Uri::from_parts(parts) else { return false };
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    true
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn behind(prefix: &str, address: &str) -> Option<String> {
        let mut request = TestRequest::with_uri(address).to_srv_request();
        take_off(&mut request, prefix).then(|| request.uri().to_string())
    }

    #[test]
    fn what_is_behind_the_prefix_is_found_as_if_it_were_not_there() {
        assert_eq!(behind("", "/v1/agents?a=b"), Some("/v1/agents?a=b".into()));
        assert_eq!(behind("/api", "/api/v1/agents?a=b"), Some("/v1/agents?a=b".into()));
        assert_eq!(behind("/api", "/api"), Some("/".into()));
        assert_eq!(behind("/api", "/api?a=b"), Some("/?a=b".into()));
        assert_eq!(behind("/a/b", "/a/b/health"), Some("/health".into()));
    }

    #[test]
    fn nothing_but_health_is_beside_the_prefix() {
        assert_eq!(behind("/api", "/health"), Some("/health".into()));
        for address in ["/", "/v1/agents", "/apix/v1/agents", "/ap", "//api/v1/agents", "/API/v1"] {
            assert_eq!(behind("/api", address), None, "{address}");
        }
    }
}
