//! The published keys: whoever has them can verify an access token, with whatever library.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::desk::{Desk, Document, builder, desk, read, token};

fn published(desk: &Desk) -> JwkSet {
    let answer = desk.request("GET /.well-known/jwks.json", &[], "").expect(200);
    assert_eq!(answer.expect_header("Content-Type"), "application/json; charset=utf-8");
    for key in answer.json()["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none() && key.get("p").is_none() && key.get("k").is_none(), "a private part");
    }
    serde_json::from_slice(&answer.body).unwrap()
}

/// The claims, if the token is good by the published keys alone.
fn verified(desk: &Desk, token: &str, algorithm: Algorithm) -> Result<Value, jsonwebtoken::errors::Error> {
    let set = published(desk);
    let header = decode_header(token)?;
    assert_eq!(header.alg, algorithm);
    let key = set.find(&header.kid.unwrap()).expect("the key is published");
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[desk.server()]);
    validation.set_issuer(&["seawall"]);
    validation.validate_nbf = true;
    Ok(decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

/// S1-28, design: access tokens. Threat class G from the other side.
#[test]
fn the_published_keys_verify_an_access_token_and_no_other_text() {
    for (name, algorithm) in [("RS256", Algorithm::RS256), ("ES256", Algorithm::ES256)] {
        let desk = Document { algorithm: name, ..Document::default() }.start();
        let token = token(desk.get("&scope=repository:team/app:pull", &builder()));
        assert_eq!(read(&token).0["alg"], name);
        assert_eq!(verified(&desk, &token, algorithm).unwrap()["sub"], "builder");
        let (head, signature) = token.rsplit_once('.').unwrap();
        let changed = head.replace(&head[head.len() - 4..], "AAAA");
        assert!(verified(&desk, &format!("{changed}.{signature}"), algorithm).is_err());
    }
}

/// Nobody needs an account to verify, but an address that the network rules admit.
#[test]
fn the_keys_are_published_to_everybody_by_get_and_head_only() {
    let desk = desk();
    assert_eq!(published(&desk).keys.len(), 1);
    let head = desk.request("HEAD /.well-known/jwks.json", &[], "").expect(200);
    assert!(head.body.is_empty());
    let refused = desk.request("POST /.well-known/jwks.json", &[], "").expect(405);
    assert_eq!(refused.expect_header("Allow"), "GET, HEAD");
}
