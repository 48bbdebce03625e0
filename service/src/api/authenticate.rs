//! Who makes a request, and for which region: whoever has signed it, or, while authentication is off,
//! root.

use std::sync::Arc;
use std::time::Duration;

use hyper::Version;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;

use crate::api::call::App;
use crate::auth::signature;
use crate::auth::signature::verify::Verified;
use crate::error::Error;
use crate::model::caller::Caller;
use crate::model::queue::Region;

impl App {
    /// Who makes a request to a service (`sqs`), at a real time since 1970. One that nobody has
    /// signed is anonymous's: what they may do is for policies to say.
    pub fn authenticate(
        &self,
        parts: &Parts,
        body: &[u8],
        service: &str,
        now: Duration,
    ) -> Result<Verified, Error> {
        let Some(verifier) = &self.verifier else {
            let region = claimed_region(parts)
                .filter(|region| *region != self.region.as_str())
                .and_then(Region::parse)
                .unwrap_or_else(|| self.region.clone());
            return Ok(Verified { caller: self.root.clone(), region });
        };
        let request = signature::Request {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            authority: parts
                .uri
                .authority()
                .filter(|_| parts.version == Version::HTTP_2)
                .map(|a| a.as_str()),
            body,
        };
        let verified = verifier.verify(&request, service, now)?;
        Ok(verified.unwrap_or_else(|| Verified {
            caller: Arc::new(Caller::anonymous()),
            region: self.region.clone(),
        }))
    }
}

/// The region that a request says it is signed for, `…/<date>/<region>/sqs/aws4_request`, in the
/// header or, of a presigned request, in the target.
fn claimed_region(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|header| {
        let scope = header.to_str().ok()?.split_once("Credential=")?.1;
        scope.split([',', ' ']).next()?.rsplit('/').nth(2)
    });
    header.or_else(|| {
        let scope = parts.uri.query()?.split('&').find_map(|p| p.strip_prefix("X-Amz-Credential="));
        // Slashes are mostly escaped here, and never otherwise.
        match scope? {
            scope if scope.contains('/') => scope.rsplit('/').nth(2),
            scope if scope.contains("%2F") => scope.rsplit("%2F").nth(2),
            scope => scope.rsplit("%2f").nth(2),
        }
    })
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&'static str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_claimed_region_is_that_of_the_credential_scope() {
        let header = "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/sqs/aws4_request, \
                      SignedHeaders=host, Signature=0";
        let query =
            "/?X-Amz-Date=0&X-Amz-Credential=AKID%2F20260101%2Feu-west-1%2Fsqs%2Faws4_request";
        assert_eq!(claimed_region(&parts("/", &[("authorization", header)])), Some("eu-west-1"));
        assert_eq!(claimed_region(&parts(query, &[])), Some("eu-west-1"));
        for odd in ["", "Bearer x", "AWS4-HMAC-SHA256 Credential=x"] {
            assert_eq!(claimed_region(&parts("/", &[("authorization", odd)])), None, "{odd}");
        }
    }
}
