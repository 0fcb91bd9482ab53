//! The fixed words of metrics and audit records: bounded by construction, and the same in both.

/// Declares an enum whose variants have a fixed text each.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The text in metrics and audit records.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl Label for $name {
            const ALL: &[Self] = Self::ALL;

            fn text(self) -> &'static str {
                self.as_str()
            }

            fn position(self) -> usize {
                self as usize
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+};
}

/// What the metrics need of an enum of labels.
pub(super) trait Label: Copy + 'static {
    const ALL: &[Self];
    fn text(self) -> &'static str;
    fn position(self) -> usize;
}

labels! {
    /// What kind of request it was: coarse, so that it can be a label.
    OperationClass {
        Base => "base",
        Catalog => "catalog",
        Tags => "tags",
        ManifestRead => "manifest_read",
        ManifestWrite => "manifest_write",
        ManifestDelete => "manifest_delete",
        BlobRead => "blob_read",
        BlobDelete => "blob_delete",
        Upload => "upload",
        Referrers => "referrers",
        MetadataRead => "metadata_read",
        MetadataWrite => "metadata_write",
        Untag => "untag",
        RepositoryDelete => "repository_delete",
        Token => "token",
        Exchange => "exchange",
        Keys => "keys",
        SignIn => "sign_in",
        /// Refused before it was known what was asked for.
        Other => "other",
    }

    /// How a decision ended.
    Outcome {
        Permit => "permit",
        Deny => "deny",
        /// It could not be decided.
        Error => "error",
    }

    /// A cache of verified credentials.
    Cache {
        Password => "password",
        AccessToken => "access_token",
        IdentityToken => "identity_token",
    }

    /// How a reload of the policy ended.
    Reload {
        Ok => "ok",
        /// The old policy stays in force.
        Failed => "failed",
    }

    /// What became of a note about what passed by.
    Noted {
        Kept => "kept",
        /// Too many were waiting; what it was about is read at the upstream instead.
        Dropped => "dropped",
    }

    /// How a request of our own to an upstream ended.
    UpstreamCall {
        Ok => "ok",
        NotFound => "not_found",
        /// With another status.
        Refused => "refused",
        /// There was no answer, or one that cannot be used.
        Failed => "failed",
    }

    /// What the content cache had for a request.
    ContentResult {
        Hit => "hit",
        /// It was kept for so long that the upstream had to confirm it first.
        Stale => "stale",
        Miss => "miss",
        /// A request for a part, with conditions, or of a client that does not name the media type: not looked for.
        Bypass => "bypass",
    }

    /// Why a listener closed a connection without an answer.
    RefusedConnection {
        /// The socket has no peer address, so nobody can say who is calling.
        NoPeerAddress => "no_peer_address",
        /// The listener speaks the PROXY protocol, and the peer is none of its load balancers.
        UntrustedPeer => "untrusted_peer",
        /// The PROXY protocol header is absent or malformed.
        MalformedProxyHeader => "malformed_proxy_header",
        LateProxyHeader => "late_proxy_header",
        /// The head of a request took too long (slow loris).
        LateHead => "late_head",
        /// The head of a request is over 64 KiB.
        LargeHead => "large_head",
        /// The client showed a certificate that none of the listener's authorities stands behind.
        ClientCertificate => "client_certificate",
    }

    /// The way of transferred bytes, as clients see it.
    Direction {
        Upload => "upload",
        Download => "download",
    }

    /// The first digit of an HTTP status.
    StatusClass {
        Informational => "1xx",
        Success => "2xx",
        Redirection => "3xx",
        ClientError => "4xx",
        ServerError => "5xx",
        /// The connection ended before there was a status.
        None => "none",
    }
}

impl StatusClass {
    /// The class of `status`; 0 and whatever is not HTTP's is `None`.
    pub fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            5 => Self::ServerError,
            _ => Self::None,
        }
    }
}
