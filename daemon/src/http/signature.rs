//! Checks the signatures of tokens with ring, which TLS uses as well.

use jsonwebtoken::crypto::{CryptoProvider, JwkUtils, JwtSigner, JwtVerifier};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as BadSignature, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::hmac;
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: checker,
    // Only for creating keys, which the daemon does not do.
    jwk_utils: JwkUtils::new_unimplemented(),
};

/// Lets `jsonwebtoken` check signatures. Safe to call again.
pub fn install() {
    let _ = PROVIDER.install_default();
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

fn checker(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(Checker { algorithm: *algorithm, key: key.clone() }))
}

struct Checker {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Checker {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Checker {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), BadSignature> {
        let is_right = match self.key.kind() {
            DecodingKeyKind::SecretOrDer(secret) if self.algorithm == Algorithm::HS256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, message, signature).is_ok()
            }
            DecodingKeyKind::SecretOrDer(point) => curve(self.algorithm).is_some_and(|curve| {
                UnparsedPublicKey::new(curve, point).verify(message, signature).is_ok()
            }),
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let key = RsaPublicKeyComponents { n: stripped(n), e: stripped(e) };
                rsa(self.algorithm).is_some_and(|rsa| key.verify(rsa, message, signature).is_ok())
            }
        };
        is_right.then_some(()).ok_or_else(BadSignature::new)
    }
}

fn curve(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Some(&signature::ED25519),
        _ => None,
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

/// Some issuers write a number with leading zeros, which ring refuses.
fn stripped(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
pub mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
    use jsonwebtoken::{Validation, decode, decode_header};
    use serde_json::{Value, json};

    use super::*;

    /// A token signed with a secret.
    pub fn signed(algorithm: hmac::Algorithm, secret: &[u8], claims: &Value) -> String {
        let name = if algorithm == hmac::HMAC_SHA256 { "HS256" } else { "HS512" };
        let [header, claims] =
            [&json!({ "alg": name }), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let signature = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Keys, with a token for each algorithm, made by OpenSSL.
    fn examples() -> Vec<(Jwk, Vec<String>)> {
        serde_json::from_str(include_str!("signature/examples.json")).unwrap()
    }

    fn check(token: &str, key: &DecodingKey) -> Result<Value, Error> {
        install();
        let mut validation = Validation::new(decode_header(token)?.alg);
        validation.required_spec_claims.clear();
        decode(token, key, &validation).map(|token| token.claims)
    }

    #[test]
    fn a_token_of_every_algorithm_is_checked_by_its_key_alone() {
        let examples = examples();
        let keys: Vec<_> =
            examples.iter().map(|(key, _)| DecodingKey::from_jwk(key).unwrap()).collect();
        let mut algorithms = Vec::new();
        for (of, (_, tokens)) in examples.iter().enumerate() {
            for token in tokens {
                algorithms.push(decode_header(token).unwrap().alg);
                for (by, key) in keys.iter().enumerate() {
                    let claims = check(token, key);
                    assert_eq!(claims.is_ok(), of == by, "{token} by key {by}: {claims:?}");
                    assert!(claims.is_err() || claims.unwrap() == json!({"role": "anon"}));
                }
            }
        }
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        assert_eq!(
            algorithms,
            [RS256, RS384, RS512, PS256, PS384, PS512, RS256, ES256, ES256, ES384, EdDSA]
        );
    }

    #[test]
    fn a_changed_token_is_refused() {
        for (key, tokens) in examples() {
            let key = DecodingKey::from_jwk(&key).unwrap();
            for token in tokens {
                let (message, signature) = token.rsplit_once('.').unwrap();
                let (header, _) = message.split_once('.').unwrap();
                // {"role":"service_role"}
                let other = format!("{header}.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.{signature}");
                let first = if signature.starts_with('A') { "B" } else { "A" };
                let damaged = format!("{message}.{first}{}", &signature[1..]);
                for forged in [other, damaged, format!("{message}.")] {
                    let refused = check(&forged, &key).unwrap_err();
                    assert_eq!(refused.kind(), &ErrorKind::InvalidSignature, "{forged}");
                }
            }
        }
    }

    #[test]
    fn a_public_key_is_no_secret() {
        for (key, _) in examples() {
            if let AlgorithmParameters::RSA(_) = key.algorithm {
                continue;
            }
            let key = DecodingKey::from_jwk(&key).unwrap();
            let token = signed(hmac::HMAC_SHA256, key.as_bytes(), &json!({"role": "anon"}));
            assert_eq!(check(&token, &key).unwrap_err().kind(), &ErrorKind::InvalidKeyFormat);
            check(&token, &DecodingKey::from_secret(key.as_bytes())).unwrap();
        }
    }

    #[test]
    fn leading_zeros_of_a_modulus_are_no_part_of_it() {
        let (key, tokens) = &examples()[0];
        let AlgorithmParameters::RSA(rsa) = &key.algorithm else { panic!("{key:?}") };
        // Four characters are three bytes.
        let key = DecodingKey::from_rsa_components(&format!("AAAA{}", rsa.n), &rsa.e).unwrap();
        check(&tokens[0], &key).unwrap();
    }
}
