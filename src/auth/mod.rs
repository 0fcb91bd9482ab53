//! From a credential to a principal: passwords, access and refresh tokens, signing keys.
