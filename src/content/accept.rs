//! Whether a client asks for manifests of a media type by its name.
//!
//! No less than that: to a client that does not name the type of an OCI manifest, `*/*` or not, Distribution 2.8 says 404 and
//! Distribution 3 gives it. What such a client gets, the upstream decides.

use http::{HeaderMap, HeaderValue, header};

/// Whether `headers` name `media_type` in a line of `Accept`, and nowhere say that they do not want it.
pub fn names(headers: &HeaderMap, media_type: &str) -> bool {
    let wanted = essence(media_type);
    let mut named = false;
    for line in headers.get_all(header::ACCEPT).iter().map(HeaderValue::to_str) {
        let Ok(line) = line else { return false };
        // As docker and most others write it: a line for each type.
        if line.eq_ignore_ascii_case(wanted) && !line.contains(',') {
            named = true;
            continue;
        }
        for one in line.split(',').filter(|one| essence(one).eq_ignore_ascii_case(wanted)) {
            let Some((_, parameters)) = one.split_once(';') else {
                named = true;
                continue;
            };
            if !is_weight(parameters) {
                return false;
            }
            named = true;
        }
    }
    named
}

fn essence(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// A weight that is not zero, and nothing else (RFC 9110 12.4.2). Not every registry looks at it; with a strange one, none is
/// guessed.
fn is_weight(text: &str) -> bool {
    let Some(weight) = text.trim().strip_prefix("q=").or_else(|| text.trim().strip_prefix("Q=")) else { return false };
    let digits = weight.strip_prefix("1").or_else(|| weight.strip_prefix("0")).map(|rest| rest.trim_start_matches('.'));
    digits.is_some_and(|digits| digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        && weight.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an upstream calls a type, but is none.
    #[test]
    fn a_list_is_no_type() {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("a/b,c/d"))]);
        assert!(!names(&headers, "a/b,c/d"));
        assert!(names(&headers, "c/d"));
    }

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

    #[test]
    fn a_type_is_served_to_those_who_name_it() {
        for (lines, expected) in [
            (vec![OCI], true),
            (vec!["application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"], true),
            (vec!["text/plain", "application/vnd.oci.image.manifest.v1+json, */*"], true),
            (vec!["Application/vnd.OCI.image.manifest.v1+JSON"], true),
            (vec!["application/vnd.oci.image.manifest.v1+json;q=0.5"], true),
            (vec!["application/vnd.oci.image.manifest.v1+json ; q=1"], true),
            (vec![], false),
            (vec![""], false),
            (vec!["*/*"], false),
            (vec!["application/*"], false),
            (vec!["application/vnd.oci.image.manifest.v1+json;q=0"], false),
            (vec!["application/vnd.oci.image.manifest.v1+json;q=0.000"], false),
            (vec!["application/vnd.oci.image.manifest.v1+json;q=x"], false),
            (vec!["application/vnd.oci.image.manifest.v1+json;a=b"], false),
            (vec!["application/vnd.oci.image.manifest.v1+jsonx"], false),
            (vec!["xapplication/vnd.oci.image.manifest.v1+json"], false),
            (vec![OCI, "application/vnd.oci.image.manifest.v1+json;q=0"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(header::ACCEPT, HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(names(&headers, OCI), expected, "{lines:?}");
            assert_eq!(names(&headers, "application/vnd.oci.image.manifest.v1+json; charset=utf-8"), expected);
        }
    }
}
