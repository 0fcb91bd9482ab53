//! Which private endpoint a load balancer says a connection came through: one extension of its PROXY header.
//!
//! Only the one kind is read that the listener believes; a client cannot write any, because the whole header is the
//! balancer's (threat class N). What is there and cannot be understood, or is there twice, ends the connection: it must not
//! pass for a public one.

use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

use super::Tlv;
use crate::policy::network::EndpointMark;

/// The only subtype that AWS and Azure define.
const SUBTYPE: u8 = 0x01;

/// Whose private endpoints a load balancer tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EndpointKind {
    /// Network Load Balancer: type 0xEA, subtype 1, the id of the VPC endpoint.
    Aws,
    /// Private Link service: type 0xEE, subtype 1, the LINKID in four bytes, the lowest first.
    Azure,
    /// Private Service Connect: type 0xE0, the `pscConnectionId` in eight bytes, the highest first.
    Google,
}

/// Why a connection cannot be said to be public, nor which endpoint it came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnclearEndpoint {
    #[error("the PROXY protocol header names more than one private endpoint")]
    Repeated,
    #[error("the PROXY protocol header names a private endpoint in an unknown form")]
    Malformed,
}

impl EndpointKind {
    const fn tlv_type(self) -> u8 {
        match self {
            Self::Aws => 0xEA,
            Self::Azure => 0xEE,
            Self::Google => 0xE0,
        }
    }

    /// The endpoint that the extensions of a header name, if any of them does.
    ///
    /// # Errors
    /// Anything of this kind that is not exactly one endpoint as its vendor documents it.
    pub fn endpoint(self, tlvs: &[Tlv]) -> Result<Option<EndpointMark>, UnclearEndpoint> {
        let mut all = tlvs.iter().filter(|tlv| tlv.kind == self.tlv_type());
        let Some(Tlv { value, .. }) = all.next() else { return Ok(None) };
        if all.next().is_some() {
            return Err(UnclearEndpoint::Repeated);
        }
        self.mark(value).map(Some).ok_or(UnclearEndpoint::Malformed)
    }

    fn mark(self, value: &[u8]) -> Option<EndpointMark> {
        match (self, value) {
            (Self::Aws, [SUBTYPE, id @ ..]) => EndpointMark::vpc_endpoint(std::str::from_utf8(id).ok()?),
            (Self::Azure, [SUBTYPE, id @ ..]) => Some(EndpointMark::LinkId(u32::from_le_bytes(id.try_into().ok()?))),
            (Self::Google, id) => Some(EndpointMark::PscConnectionId(u64::from_be_bytes(id.try_into().ok()?))),
            (Self::Aws | Self::Azure, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [EndpointKind; 3] = [EndpointKind::Aws, EndpointKind::Azure, EndpointKind::Google];

    fn tlv(kind: u8, value: &[u8]) -> Tlv {
        Tlv { kind, value: value.to_vec() }
    }

    fn vpc(id: &str) -> EndpointMark {
        EndpointMark::VpcEndpointId(id.into())
    }

    fn aws(id: &str) -> Tlv {
        tlv(0xEA, &[&[1], id.as_bytes()].concat())
    }

    /// The values of wire contract 9, Azure's with its lowest byte first.
    #[test]
    fn each_vendor_names_its_endpoint_in_its_own_way() {
        let azure = tlv(0xEE, &[1, 0x78, 0x56, 0x34, 0x12]);
        let google = tlv(0xE0, &[0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78]);
        let all = [tlv(0x04, b""), aws("vpce-08d2bf15fac5001c9"), azure, tlv(0x05, b"unique"), google];
        let read = KINDS.map(|kind| kind.endpoint(&all).unwrap());
        let expected = [
            vpc("vpce-08d2bf15fac5001c9"),
            EndpointMark::LinkId(0x1234_5678),
            EndpointMark::PscConnectionId(0x1234_5678),
        ];
        assert_eq!(read, expected.map(Some));
        assert_eq!(KINDS.map(|kind| kind.endpoint(&[tlv(0x04, b""), tlv(0xEB, &[1, b'x'])])), [const { Ok(None) }; 3]);
    }

    #[test]
    fn what_is_not_exactly_one_endpoint_is_refused() {
        let long = [&[1][..], &[b'a'; 129]].concat();
        let malformed: [(EndpointKind, u8, &[u8]); 18] = [
            (EndpointKind::Aws, 0xEA, b""),
            (EndpointKind::Aws, 0xEA, &[1]),
            (EndpointKind::Aws, 0xEA, b"vpce-0abc"),
            (EndpointKind::Aws, 0xEA, b"\x02vpce-0abc"),
            (EndpointKind::Aws, 0xEA, b"\x01vpce-0abc\0"),
            (EndpointKind::Aws, 0xEA, b"\x01vpce_0abc"),
            (EndpointKind::Aws, 0xEA, b"\x01vpce 0abc"),
            (EndpointKind::Aws, 0xEA, b"\x01vpce-\xff"),
            (EndpointKind::Aws, 0xEA, "\x01vpce-é".as_bytes()),
            (EndpointKind::Aws, 0xEA, &long),
            (EndpointKind::Azure, 0xEE, b""),
            (EndpointKind::Azure, 0xEE, &[1, 2, 3, 4]),
            (EndpointKind::Azure, 0xEE, &[1, 2, 3, 4, 5, 6]),
            (EndpointKind::Azure, 0xEE, &[2, 2, 3, 4, 5]),
            (EndpointKind::Google, 0xE0, b""),
            (EndpointKind::Google, 0xE0, &[0; 7]),
            (EndpointKind::Google, 0xE0, &[0; 9]),
            (EndpointKind::Google, 0xE0, &[1, 0, 0, 0, 0, 0, 0, 0, 1]),
        ];
        for (kind, code, value) in malformed {
            assert_eq!(kind.endpoint(&[tlv(code, value)]), Err(UnclearEndpoint::Malformed), "{kind:?} {value:?}");
        }
        let (one, other) = (aws("vpce-1"), aws("vpce-2"));
        for tlvs in [vec![one.clone(), one.clone()], vec![one.clone(), other], vec![one, tlv(0xEA, b"")]] {
            assert_eq!(EndpointKind::Aws.endpoint(&tlvs), Err(UnclearEndpoint::Repeated), "{tlvs:?}");
        }
    }

    fn tlvs() -> impl Strategy<Value = Vec<Tlv>> {
        let kind = prop::sample::select(vec![0xEA, 0xEE, 0xE0, 0x04, 0x01, 0xFF]);
        let value = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..12),
            "[A-Za-z0-9_-]{0,8}".prop_map(|id| [&[1], id.as_bytes()].concat()),
        ];
        prop::collection::vec((kind, value).prop_map(|(kind, value)| Tlv { kind, value }), 0..5)
    }

    proptest! {
        /// Whatever is there: without any of the kind nothing, else one endpoint of that kind or a refusal.
        #[test]
        fn no_header_with_a_mark_passes_for_one_without(tlvs in tlvs()) {
            for kind in KINDS {
                let all: Vec<_> = tlvs.iter().filter(|tlv| tlv.kind == kind.tlv_type()).collect();
                let read = kind.endpoint(&tlvs);
                match all.as_slice() {
                    [] => prop_assert_eq!(read, Ok(None)),
                    [_] => {
                        let key = ["vpcEndpointId", "linkId", "pscConnectionId"][kind as usize];
                        prop_assert!(read.is_err() || read.unwrap().unwrap().key() == key);
                    }
                    _ => prop_assert_eq!(read, Err(UnclearEndpoint::Repeated)),
                }
            }
        }
    }
}
